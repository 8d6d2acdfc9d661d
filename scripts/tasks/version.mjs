// Takes the changesets' step: new versions in the manifests, change logs, and the new versions in the sources that state them. What states the version of
// its own package is a string of its own in that package's sources; what a plugin was written for (`core: "0.1"`) is stated wherever a plugin is.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { runInForeground } from "../setup/child-process.mjs";
import { rootDirectory } from "../setup/paths.mjs";
import { publishedPackages } from "./packages.mjs";

const before = publishedPackages();
const changeset = join(rootDirectory, "node_modules/@changesets/cli/bin.js");
const code = await runInForeground(process.execPath, [changeset, "version"], { cwd: rootDirectory });
if (code !== 0) process.exit(code);
const after = new Map(publishedPackages().map(({ manifest }) => [manifest.name, manifest.version]));

const listed = execFileSync("git", ["ls-files", "packages", "examples", "docs", "tests", "README.md"], {
  cwd: rootDirectory,
  encoding: "utf8",
});
const files = listed.split("\n").filter((path) => /\.(ts|md)$/.test(path) && existsSync(join(rootDirectory, path)));

for (const { directory, manifest } of before) {
  const now = after.get(manifest.name);
  if (now === manifest.version) continue;
  const sources = `${relative(rootDirectory, directory)}/src/`;
  const own = files.filter((path) => path.startsWith(sources) && !path.endsWith(".test.ts"));
  for (const path of own) replace(path, `"${manifest.version}"`, `"${now}"`);
  if (manifest.name !== "@vdc-os/core") continue;
  for (const path of files) {
    if (path.endsWith("/CHANGELOG.md")) continue;
    replace(path, `core: "${minorOf(manifest.version)}"`, `core: "${minorOf(now)}"`);
    replace(path, `"core":"${manifest.version}"`, `"core":"${now}"`);
    if (path.startsWith("packages/create-plugin/src/")) replace(path, `"^${manifest.version}"`, `"^${now}"`);
  }
}

function minorOf(version) {
  return version.split(".").slice(0, 2).join(".");
}

function replace(path, old, now) {
  const text = readFileSync(join(rootDirectory, path), "utf8");
  if (!text.includes(old)) return;
  writeFileSync(join(rootDirectory, path), text.replaceAll(old, now));
  console.log(`${path}: ${old} is ${now} now`);
}
