import { readFileSync } from "node:fs";
import { join } from "node:path";
import { installNpmPackages, isReady } from "./npm-packages.mjs";
import { rootDirectory, toolchainDirectory } from "./paths.mjs";
import { SetupError } from "./progress.mjs";

const lockfile = "scripts/toolchain/oldest-node";

/**
 * Provides the oldest Node.js that the published packages promise to run on. Version and integrity are pinned in
 * `scripts/toolchain/oldest-node/package-lock.json`.
 *
 * @returns {Promise<{ node: string, version: string }>} The path of the binary, and its version.
 */
export async function provideOldestNode() {
  const manifest = JSON.parse(readFileSync(join(rootDirectory, lockfile, "package.json"), "utf8"));
  const name = `node-${process.platform}-${process.arch}`;
  const version = manifest.optionalDependencies[name];
  const musl = process.platform === "linux" && process.report.getReport().header.glibcVersionRuntime === undefined;
  if (version === undefined || musl) {
    throw new SetupError(`There is no pinned old Node.js for '${process.platform}-${process.arch}'.`);
  }
  const directory = join(toolchainDirectory, `oldest-node-${version}-${process.platform}-${process.arch}`);
  const paths = [`node_modules/${name}/bin/node`];
  if (!isReady(directory, paths)) await installNpmPackages({ directory, paths, lockfile, nodeVersion: version });
  return { node: join(directory, paths[0]), version };
}
