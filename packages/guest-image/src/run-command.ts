import { spawn } from "node:child_process";
import { GuestImageError } from "./guest-image-error.ts";

export interface RunCommandOptions {
  /** The folder to work in. */
  readonly directory?: string;
  readonly input?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program to its end and resolves with its standard output.
 *
 * Rejects with `COMMAND_FAILED` and what it said when it cannot start or ends otherwise than with 0, and with the
 * signal's reason when it is aborted. The program speaks English, so that its output can be read.
 */
export function runCommand(command: string, args: readonly string[], options: RunCommandOptions = {}): Promise<Buffer> {
  const { directory, input, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  if (signal?.aborted) {
    reject(signal.reason);
    return promise;
  }
  const child = spawn(command, args, {
    ...(directory === undefined ? {} : { cwd: directory }),
    ...(signal === undefined ? {} : { signal }),
    env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const output: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => complaints.push(chunk));
  // A program that ends before it read everything is judged by its exit code, not by the broken pipe.
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  child.on("error", (cause) => {
    if (signal?.aborted) reject(signal.reason);
    else reject(new GuestImageError("COMMAND_FAILED", `'${command}' could not be started.`, { cause }));
  });
  child.on("close", (code, killedBy) => {
    if (code === 0) return resolve(Buffer.concat(output));
    const said = Buffer.concat(complaints).toString().trim().split("\n").slice(-8).join("\n");
    const line = [command, ...args].join(" ");
    reject(new GuestImageError("COMMAND_FAILED", `'${line}' ended with ${killedBy ?? `code ${code}`}: ${said}`));
  });
  return promise;
}
