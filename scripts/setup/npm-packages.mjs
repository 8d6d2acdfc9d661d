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
import { basename, join } from "node:path";
import { findExecutable, runQuietly } from "./child-process.mjs";
import { rootDirectory, toolchainDirectory } from "./paths.mjs";
import { SetupError } from "./progress.mjs";

/** Written last into a finished folder: the size in bytes of each binary, so that a torn copy is noticed. */
const stampName = "ready.json";

/**
 * Whether a folder holds the finished installation of these binaries.
 *
 * @param {string} directory
 * @param {readonly string[]} paths
 */
export function isReady(directory, paths) {
  try {
    const stamp = JSON.parse(readFileSync(join(directory, stampName), "utf8"));
    return paths.every((path) => statSync(join(directory, path)).size === stamp[path]);
  } catch {
    return false;
  }
}

/**
 * Installs packages of the npm registry that the user's own npm configuration names, beside the final place, and moves the finished
 * folder there in one step. An interrupted installation leaves nothing that a later one takes for finished; two processes at once do not
 * disturb each other.
 *
 * @param {object} options
 * @param {string} options.directory The final place.
 * @param {readonly string[]} options.paths The binaries that must be in it, Node.js first where there is one.
 * @param {string} [options.lockfile] The folder of the package.json and package-lock.json that pin what is installed.
 * @param {string} [options.package] What is installed where no lockfile pins it.
 * @param {string} [options.nodeVersion] What the installed Node.js must say that it is.
 */
export async function installNpmPackages({ directory, paths, lockfile, package: wanted, nodeVersion }) {
  const partial = `${directory}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const removePartial = () => rmSync(partial, { recursive: true, force: true });
  process.on("exit", removePartial);
  try {
    if (lockfile !== undefined) {
      for (const name of ["package.json", "package-lock.json"]) {
        copyFileSync(join(rootDirectory, lockfile, name), join(partial, name));
      }
    } else {
      writeFileSync(join(partial, "package.json"), JSON.stringify({ name: "vdc-os-toolchain", private: true }));
    }
    const { file, leading } = npmCommand();
    const common = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    const action = lockfile === undefined ? ["install", "--no-save", wanted] : ["ci"];
    await runQuietly(file, [...leading, ...action, ...common], { cwd: partial, env: npmEnvironment() });
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
export function removeAbandoned() {
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

/**
 * How npm is started: the npm that started us, or else the first on the PATH.
 *
 * @returns {{ file: string, leading: string[] }}
 */
export function npmCommand() {
  const script = process.env.npm_execpath;
  if (script !== undefined && basename(script) === "npm-cli.js" && existsSync(script)) {
    return { file: process.execPath, leading: [script] };
  }
  const file = findExecutable("npm");
  if (file === undefined) throw new SetupError("'npm' was not found on the PATH. Install Node.js with npm.");
  return { file, leading: [] };
}

/** The environment for it, without the folder that an outer `npm start` works in, which an inner npm would take for its own. */
export function npmEnvironment() {
  const env = { ...process.env };
  delete env.npm_config_local_prefix;
  delete env.npm_config_prefix;
  return env;
}
