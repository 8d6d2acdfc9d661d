import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { runQuietly } from "./child-process.mjs";
import { rootDirectory } from "./paths.mjs";
import { step } from "./progress.mjs";

const stampPath = join(rootDirectory, "node_modules", ".vdc-os-installed");
const ignored = new Set(["node_modules", "dist", "src"]);

/**
 * Installs the dependencies of every package, when a manifest or the lockfile changed since the last time.
 *
 * @param {import("./toolchain.mjs").Toolchain} toolchain
 */
export async function installWorkspace(toolchain) {
  const hash = hashManifests(toolchain.key);
  if (existsSync(stampPath) && readFileSync(stampPath, "utf8") === hash) return;
  await step("Installing the packages", async () => {
    rmSync(stampPath, { force: true });
    // CI=true: pnpm asks no questions, such as whether it may replace a node_modules of another version.
    const env = { ...toolchain.env, CI: "true" };
    await runQuietly(toolchain.pnpm, ["install", "--frozen-lockfile", "--reporter=append-only"], {
      cwd: rootDirectory,
      env,
    });
    writeFileSync(stampPath, hash);
  });
}

function hashManifests(key) {
  const hash = createHash("sha256").update(key);
  const files = ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc"].map((name) =>
    join(rootDirectory, name),
  );
  for (const folder of ["packages", "examples", "tests"]) files.push(...findManifests(join(rootDirectory, folder)));
  for (const file of files) {
    if (existsSync(file)) hash.update(`\n${relative(rootDirectory, file)}\n`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

function findManifests(folder) {
  if (!existsSync(folder)) return [];
  const found = [];
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !ignored.has(entry.name)) found.push(...findManifests(path));
    else if (entry.isFile() && entry.name === "package.json") found.push(path);
  }
  return found;
}
