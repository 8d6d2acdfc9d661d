import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readAtChecks } from "./at-file.ts";
import { dataWords } from "./ovsdb-words.ts";
import { runTestOvsdb } from "./test-ovsdb.ts";

/** The folder `tests` of a source tree of Open vSwitch. */
const folder = process.env.VDC_OVS_TESTS ?? "";
const present = existsSync(join(folder, "ovsdb-data.at"));
if (!present) {
  console.warn(
    "SKIPPED: the expectations of Open vSwitch's own test suite; VDC_OVS_TESTS names no folder that has them",
  );
}

/** What is no part of the protocol any more. */
const GONE = /reMatch|reComment/;

describe.skipIf(!present)("Open vSwitch's expectations", () => {
  const files = present ? readdirSync(folder).filter((name) => /^ovsdb-.*\.at$/.test(name)) : [];
  for (const file of files) {
    const checks = readAtChecks(readFileSync(join(folder, file), "utf8")).filter(
      ({ args }) => Object.hasOwn(dataWords, args[0] ?? "") && !GONE.test(args.join(" ")),
    );
    for (const { kind, title, args, expected } of checks) {
      test(`${file}: ${title}`, async () => {
        const { status, out, err } = await runTestOvsdb(args);
        // What is refused is the same; the words are each program's own.
        if (kind === "negative") expect({ status, out }).toEqual({ status: 1, out: "" });
        else expect({ out: out.replace(/\n$/, ""), err }).toEqual({ out: expected, err: "" });
      });
    }
  }
});
