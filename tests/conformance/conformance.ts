// Prints which requirement of a suite each provider of the repository meets: `conformance.ts <suite> [--json] [--direct] [<part of a path>...]`.
// It runs the certification tests that the providers have, wherever they are, so that the table is what the tests say. `--direct` leaves the transport over
// a pipe out. Ends with 1 when a requirement failed.
import { readdirSync, readFileSync, writeSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { backupSuite } from "@vdc-os/ready/backup";
import { cloudSuite } from "@vdc-os/ready/cloud";
import { computeSuite } from "@vdc-os/ready/compute";
import { hostSuite } from "@vdc-os/ready/host";
import { networkSuite } from "@vdc-os/ready/network";
import { secretSuite } from "@vdc-os/ready/secret";
import { stateSuite } from "@vdc-os/ready/state";
import { storageSuite } from "@vdc-os/ready/storage";
import type { TestCase } from "vitest/node";
import { startVitest } from "vitest/node";
import { type ConformanceResult, conformanceTable, formatConformance, type Outcome } from "./conformance-table.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const suites = {
  backupSuite,
  cloudSuite,
  computeSuite,
  hostSuite,
  networkSuite,
  secretSuite,
  stateSuite,
  storageSuite,
};

/** The ids of a suite's requirements; none for a name that is no suite's. */
function requirementsOf(suite: string): readonly string[] {
  const found = Object.entries(suites).find(([name]) => name === `${suite}Suite`)?.[1];
  return found?.requirements.map(({ id }) => id) ?? [];
}

/** The test files that run the suite. */
function certificationTests(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ["node_modules", "dist"].includes(entry.name) ? [] : certificationTests(path);
    if (!entry.name.endsWith(".test.ts")) return [];
    return readFileSync(path, "utf8").includes(`describeSuite(${suiteName}Suite`) ? [path] : [];
  });
}

/** What a test says; `undefined` for one that is none of the suite's. */
function resultOf(test: TestCase): ConformanceResult | undefined {
  const [requirement = ""] = test.name.split(":");
  if (!order.includes(requirement)) return undefined;
  const groups: string[] = [];
  for (let { parent } = test; parent.type === "suite"; parent = parent.parent) groups.unshift(parent.name);
  const transport = groups.pop()?.split(", ").pop() ?? "";
  if (values.direct && transport !== "direct") return undefined;
  const path = relative(root, test.module.moduleId).split("/");
  const packageName = path[path.findIndex((part) => part === "src" || part === "test") - 1] ?? basename(root);
  const provider = [packageName, ...groups].join(": ");
  const result = test.result();
  if (result.state === "passed") return { provider, requirement, transport, outcome: "pass" };
  const [first] = result.errors ?? [];
  const said = (result.state === "skipped" ? result.note : first?.message) ?? "it was not run";
  const [, kind, note] = /^(not-applicable|skipped): (.*)/s.exec(said) ?? [];
  const outcome: Outcome = kind === "not-applicable" ? kind : result.state === "skipped" ? "skipped" : "fail";
  return { provider, requirement, transport, outcome, reason: (note ?? said).split("\n")[0] };
}

const { values, positionals } = parseArgs({
  options: { json: { type: "boolean" }, direct: { type: "boolean" } },
  allowPositionals: true,
});
const [suiteName = "", ...parts] = positionals;
const order = requirementsOf(suiteName);
if (order.length === 0) {
  const names = Object.keys(suites).map((name) => name.replace("Suite", ""));
  throw new TypeError(`there is no suite '${suiteName}': say one of ${names.join(", ")}`);
}
const results: ConformanceResult[] = [];
const files = [...certificationTests(join(root, "packages")), ...certificationTests(join(root, "examples"))];
const wanted = files.filter((file) => parts.every((part) => relative(root, file).includes(part)));
const vitest = await startVitest("test", wanted, {
  root,
  watch: false,
  testNamePattern: new RegExp(values.direct ? `, direct\\b.*${suiteName}\\.` : `${suiteName}\\.[a-z-]+\\.`),
  reporters: [
    {
      onTestCaseResult(test) {
        const result = resultOf(test);
        if (result !== undefined) results.push(result);
      },
      // Why something can't be tried on this machine is said there.
      onUserConsoleLog({ type, content }) {
        if (type === "stderr") process.stderr.write(content);
      },
      onTestModuleEnd(module) {
        for (const error of module.errors()) process.stderr.write(`${module.moduleId}: ${error.message}\n`);
      },
    },
  ],
});
await vitest.close();
results.sort(
  (a, b) => a.provider.localeCompare(b.provider) || order.indexOf(a.requirement) - order.indexOf(b.requirement),
);
const table = conformanceTable(results);
const bytes = Buffer.from(`${values.json ? JSON.stringify(table, undefined, 2) : formatConformance(table)}\n`);
for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
// A file that could not be loaded has no results of its own, and has set the exit code already.
process.exitCode = results.length === 0 || results.some(({ outcome }) => outcome === "fail") ? 1 : process.exitCode;
