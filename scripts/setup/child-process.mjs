import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { constants as osConstants } from "node:os";
import { delimiter, join } from "node:path";
import { SetupError } from "./progress.mjs";

/** Ctrl-C reaches npm and this process by several ways; deliveries this close together are one key press. */
const sameSignalMs = 500;

/**
 * The first executable of that name on the PATH, or undefined.
 *
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 */
export function findExecutable(name, env = process.env) {
  for (const directory of (env.PATH ?? "").split(delimiter)) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here: look in the next folder.
    }
  }
  return undefined;
}

/**
 * Runs a set-up command in silence. Resolves with its standard output, and rejects with all that it printed.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<string>}
 */
export function runQuietly(command, args, { cwd, env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const all = [];
    const out = [];
    child.stdout.on("data", (chunk) => {
      out.push(chunk);
      all.push(chunk);
    });
    child.stderr.on("data", (chunk) => all.push(chunk));
    child.on("error", (cause) => reject(new SetupError(`'${command}' could not be started: ${cause.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(out).toString());
      const text = Buffer.concat(all).toString().trim().split("\n").slice(-40).join("\n");
      reject(new SetupError(`'${[command, ...args].join(" ")}' ended with ${signal ?? `code ${code}`}:\n${text}`));
    });
  });
}

/**
 * Runs the command that a task is about, with this terminal as its own. Resolves with its exit code (128 + number for
 * a signal, as shells do).
 *
 * Details: the command gets a session of its own, so that the terminal, npm and process groups all reach it through
 * this process alone; each signal is then passed on exactly once. Where `setpriv` exists, the command is also told
 * (SIGTERM) when this process is killed outright.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<number>}
 */
export function runInForeground(command, args, { cwd, env } = {}) {
  const setpriv = process.platform === "linux" ? findExecutable("setpriv") : undefined;
  const [file, argv] =
    setpriv === undefined ? [command, args] : [setpriv, ["--pdeathsig", "TERM", "--", command, ...args]];
  return new Promise((resolve, reject) => {
    const child = spawn(file, argv, { cwd, env, stdio: "inherit", detached: true });
    const lastAt = new Map();
    const forward = (signal) => {
      const now = performance.now();
      const previous = lastAt.get(signal);
      lastAt.set(signal, now);
      if (previous === undefined || now - previous > sameSignalMs) child.kill(signal);
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, forward);
    const release = () => {
      for (const signal of signals) process.off(signal, forward);
    };
    child.on("error", (cause) => {
      release();
      reject(new SetupError(`'${command}' could not be started: ${cause.message}`));
    });
    child.on("exit", (code, signal) => {
      release();
      resolve(signal === null ? (code ?? 1) : 128 + (osConstants.signals[signal] ?? 0));
    });
  });
}
