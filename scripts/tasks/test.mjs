// The whole verdict on a working tree: format and lint, types, tests (one of which builds and installs every package).
// Later steps run even when an earlier one failed, so that one run shows everything. The last line is made for machines:
// `N passed, N failed, N skipped`.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runInForeground } from "../setup/child-process.mjs";
import { cacheDirectory, rootDirectory } from "../setup/paths.mjs";

const reportPath = join(cacheDirectory, "test-report.json");
const filters = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

/** One step, with its output on this terminal. An interrupted step ends the whole run. */
async function run(name, script, args = []) {
  const startedAt = performance.now();
  const code = await runInForeground(process.execPath, [join(rootDirectory, script), ...args], { cwd: rootDirectory });
  if (code > 128) process.exit(code);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${name}: ${code === 0 ? "passed" : "failed"} in ${seconds} s`);
  if (code !== 0) failures.push(name);
  return code === 0;
}

function countTests() {
  let report;
  try {
    report = JSON.parse(readFileSync(reportPath, "utf8"));
  } catch {
    counts.failed += 1;
    return;
  }
  counts.passed += report.numPassedTests;
  counts.skipped += report.numPendingTests + report.numTodoTests;
  // A file that cannot be loaded fails as a whole, with no test of its own to count.
  const unloadable = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  counts.failed += report.numFailedTests + unloadable.length;
  printMutationTable(
    report.testResults.flatMap((file) => file.assertionResults.flatMap(({ meta }) => meta?.proof ?? [])),
  );
  if (report.success !== true && counts.failed === 0) counts.failed = 1;
}

/** What the proofs of the certification suites found: each requirement must catch a plugin that breaks it. */
function printMutationTable(proofs) {
  if (proofs.length === 0) return;
  const rows = proofs.sort((a, b) => a.suite.localeCompare(b.suite));
  const sum = (column) => rows.reduce((total, row) => total + row[column], 0);
  const all = { suite: "all", requirements: sum("requirements"), mutants: sum("mutants"), caught: sum("caught") };
  const line = (row) =>
    [
      row.suite.padEnd(10),
      ...[row.requirements, row.mutants, row.caught].map((cell) => String(cell).padStart(12)),
    ].join("");
  console.log("\nMutants of the certification suites");
  console.log(line({ suite: "suite", requirements: "requirements", mutants: "mutants", caught: "caught" }));
  for (const row of [...rows, all]) console.log(line(row));
}

// With file names given, only these tests run: the way to work on one package.
const whole = filters.length === 0;
if (whole) {
  if (!(await run("Format and lint", "node_modules/@biomejs/biome/bin/biome", ["ci", "."]))) counts.failed += 1;
  if (!(await run("Types", "node_modules/typescript/bin/tsc", ["-p", "."]))) counts.failed += 1;
}

mkdirSync(cacheDirectory, { recursive: true });
rmSync(reportPath, { force: true });
const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportPath}`];
await run("Tests", "node_modules/vitest/vitest.mjs", ["run", ...reporters, ...filters]);
countTests();
// Plugins as strangers get them, once nothing else wants the machine.
if (whole && !(await run("Certificates", "tests/certificates/certify.ts"))) counts.failed += 1;

if (failures.length > 0) console.log(`Failed: ${failures.join(", ")}`);
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = failures.length === 0 && counts.failed === 0 ? 0 : 1;
