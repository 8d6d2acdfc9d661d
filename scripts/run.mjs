// The one entry of every npm script: sets the machine up as far as the task needs it, then runs the task.
// This file and scripts/setup run on Node.js 20 and have no dependencies; everything after them runs on the pinned one.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { runInForeground } from "./setup/child-process.mjs";
import { rootDirectory } from "./setup/paths.mjs";
import { SetupError } from "./setup/progress.mjs";
import { provideSystemPackages } from "./setup/system-packages.mjs";
import { provideToolchain } from "./setup/toolchain.mjs";
import { installWorkspace } from "./setup/workspace.mjs";

/**
 * What each task runs, in the root folder: a script for the pinned Node.js, and its first arguments.
 * `machine` names the list of system packages that the task needs.
 */
/** A table of what the providers of a suite meet. */
const conformance = (suite) => ({ script: "tests/conformance/conformance.ts", args: [suite], machine: "test" });

const changesets = "node_modules/@changesets/cli/bin.js";

const tasks = {
  start: { script: "examples/virtual-datacenter/src/main.ts", machine: "start" },
  test: { script: "scripts/tasks/test.mjs", machine: "test" },
  "test:deep": { script: "scripts/tasks/test.mjs", machine: "test", env: { VDC_DEEP: "1" } },
  certify: { script: "tests/certificates/certify.ts", machine: "test" },
  "conformance:backup": conformance("backup"),
  "conformance:cloud": conformance("cloud"),
  "conformance:compute": conformance("compute"),
  "conformance:host": conformance("host"),
  "conformance:network": conformance("network"),
  "conformance:secret": conformance("secret"),
  "conformance:state": conformance("state"),
  "conformance:storage": conformance("storage"),
  api: { script: "scripts/tasks/api.mjs" },
  build: { script: "scripts/tasks/build.mjs" },
  budgets: { script: "scripts/tasks/budgets.mjs" },
  docs: { script: "site/src/main.ts" },
  "release:status": { script: changesets, args: ["status"] },
  "release:version": { script: "scripts/tasks/version.mjs" },
  "release:publish": { script: "scripts/tasks/publish.mjs" },
  stranger: { script: "tests/packages/stranger-journey.ts" },
  lint: { script: "node_modules/@biomejs/biome/bin/biome", args: ["ci", "."] },
  format: { script: "node_modules/@biomejs/biome/bin/biome", args: ["check", "--write", "."] },
  typecheck: { script: "node_modules/typescript/bin/tsc", args: ["-p", "."] },
};

async function main([name, ...rest]) {
  const task = tasks[name] ?? findBenchmark(name);
  if (task === undefined) {
    const names = [...Object.keys(tasks), ...Object.keys(benchmarks()).map((bench) => `bench:${bench}`)];
    throw new SetupError(`There is no task '${name ?? ""}'. Tasks: ${names.join(", ")}.`);
  }
  const toolchain = await provideToolchain();
  await installWorkspace(toolchain);
  if (task.machine !== undefined) await provideSystemPackages(task.machine);

  const args = ["--disable-warning=ExperimentalWarning", task.script, ...(task.args ?? []), ...rest];
  return runInForeground(toolchain.node, args, { cwd: rootDirectory, env: { ...toolchain.env, ...task.env } });
}

/** `bench:<name>` runs `packages/<any package>/bench/<name>.ts`. */
function findBenchmark(name) {
  const script = name?.startsWith("bench:") ? benchmarks()[name.slice("bench:".length)] : undefined;
  return script === undefined ? undefined : { script };
}

/** @returns {Record<string, string>} Every benchmark's name and script. */
function benchmarks() {
  const found = {};
  const search = (folder, depth) => {
    for (const entry of readdirSync(join(rootDirectory, folder), { withFileTypes: true })) {
      if (!entry.isDirectory() || ["node_modules", "src", "dist"].includes(entry.name)) continue;
      const path = `${folder}/${entry.name}`;
      if (entry.name !== "bench") {
        if (depth < 3) search(path, depth + 1);
        continue;
      }
      for (const file of readdirSync(join(rootDirectory, path))) {
        if (file.endsWith(".ts")) found[file.slice(0, -".ts".length)] = `${path}/${file}`;
      }
    }
  };
  search("packages", 1);
  return found;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
