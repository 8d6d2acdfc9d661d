import { execFile } from "node:child_process";
import { FixtureError } from "./fixture-error.ts";
import { findProgram } from "./programs.ts";

export interface RunToolOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Defaults to `30_000`. */
  readonly timeoutMs?: number;
}

/** Runs a command-line tool to its end and returns what it printed. Rejects with `FAILED` and what it said on standard error. */
export function runTool(
  [program, ...args]: readonly [string, ...string[]],
  { env = {}, timeoutMs = 60_000 }: RunToolOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      encoding: "utf8",
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: 256 * 1024 * 1024,
    } as const;
    execFile(findProgram(program), args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else {
        const how = error.killed === true ? `was killed after ${timeoutMs} ms` : `failed (${error.code})`;
        reject(new FixtureError("FAILED", `'${[program, ...args].join(" ").slice(0, 500)}' ${how}: ${stderr.trim()}`));
      }
    });
  });
}
