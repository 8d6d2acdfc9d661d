import { expect, test } from "vitest";
import { conformanceTable, formatConformance } from "./conformance-table.ts";

test("the worst of all transports counts, and reasons are counted by requirement", () => {
  const table = conformanceTable([
    { provider: "a", requirement: "storage.one", transport: "direct", outcome: "pass" },
    { provider: "a", requirement: "storage.one", transport: "over the pipe", outcome: "fail", reason: "it broke" },
    { provider: "a", requirement: "storage.two", transport: "direct", outcome: "skipped", reason: "no clock" },
    { provider: "a", requirement: "storage.two", transport: "over the pipe", outcome: "skipped", reason: "no clock" },
    { provider: "b", requirement: "storage.two", transport: "direct", outcome: "not-applicable", reason: "no facet" },
  ]);
  expect(table.outcomes).toEqual({
    "storage.one": { a: "fail" },
    "storage.two": { a: "skipped", b: "not-applicable" },
  });
  expect(table.counts.a).toEqual({ pass: 0, "not-applicable": 0, skipped: 1, fail: 1 });
  expect(table.reasons).toContainEqual({ provider: "a", outcome: "skipped", reason: "no clock", requirements: 1 });
  const text = formatConformance(table);
  expect(text).toMatch(/^storage\.one +FAIL +-$/m);
  expect(text).toMatch(/^storage\.two +skipped n\/a$/m);
  expect(text).toContain("2  n/a x 1: no facet");
});
