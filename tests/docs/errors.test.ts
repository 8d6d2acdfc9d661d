import { errorCodes } from "@vdc-os/core";
import { expect, test } from "vitest";
import { findReasonCodes, reasonCodesIn } from "./find-reason-codes.ts";
import { findReasons, namesIn } from "./find-reasons.ts";
import { pageAt } from "./pages.ts";

/** What stands in the first column of a table of `docs/errors.md`, as code. */
const documented: readonly string[] = pageAt("docs/errors.md").prose.flatMap((line) => {
  const name = /^\|\s*`([A-Z_]+\*?)`\s*\|/.exec(line)?.[1];
  return name === undefined ? [] : [name];
});

const reasons = findReasons();

test("every code is documented", () => {
  expect(errorCodes.filter((code) => !documented.includes(code))).toEqual([]);
});

test("every reason in the sources is documented in docs/errors.md", () => {
  const missing = reasons.filter(({ name }) => !documented.includes(name));
  expect(missing.map(({ name, place }) => `${place} ${name}`)).toEqual([]);
});

test("docs/errors.md says with which codes a reason comes", () => {
  const rows = new Map(
    pageAt("docs/errors.md").prose.flatMap((line) => {
      const [, name, codes] = /^\|\s*`(VDC_[A-Z_]+)`\s*\|([^|]*)\|/.exec(line) ?? [];
      // Words in place of codes say that it depends.
      return name === undefined || !codes?.includes("`") ? [] : [[name, codes] as const];
    }),
  );
  const found = findReasonCodes();
  expect(found.length).toBeGreaterThan(200);
  const wrong = found.filter(({ name, code }) => rows.get(name)?.includes(`\`${code}\``) === false);
  expect(wrong.map(({ name, code, place }) => `${place} ${name} comes with ${code}`)).toEqual([]);
});

test("codes of reasons are found where both are texts", () => {
  const text =
    'new VdcError("ABORTED", "a", { reason: "VDC_A" }); new VdcError(code, "b", { reason: "VDC_B" }); new Error("c");';
  expect(reasonCodesIn("x.ts", text)).toEqual([{ name: "VDC_A", code: "ABORTED", place: "x.ts:1" }]);
});

test("docs/errors.md names each reason once, and none that is not in the sources", () => {
  const known = new Set<string>([...reasons.map(({ name }) => name), ...errorCodes]);
  expect(documented.filter((name, index) => !known.has(name) || documented.indexOf(name) !== index)).toEqual([]);
});

test("reasons are found in texts and templates, and not in comments", () => {
  const text =
    '// VDC_NO\nconst a = "VDC_YES", b = `VDC_PART_$' + "{a}`, c = `VDC_$" + '{a}`, d = "VDC_", e = "see VDC_NO";';
  expect(namesIn("x.ts", text).map(({ name }) => name)).toEqual(["VDC_YES", "VDC_PART_*"]);
});
