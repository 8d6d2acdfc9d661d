import { execFile } from "node:child_process";

/** How a program ended, and what it wrote. */
export interface ProgramResult {
  /** `undefined` when it was killed, as it is when it takes too long. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, without what vitest has put into the environment. Never rejects. Default of `timeoutMs`: 240,000. */
export function runProgram(
  file: string,
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly timeoutMs?: number;
    /** Defaults to that of this process. */
    readonly env?: Readonly<Record<string, string>>;
  },
): Promise<ProgramResult> {
  const { cwd, timeoutMs = 240_000 } = options;
  const { NODE_OPTIONS, NODE_ENV, VITEST, ...rest } = process.env;
  const env = options.env ?? { ...rest, NO_COLOR: "1" };
  const { promise, resolve } = Promise.withResolvers<ProgramResult>();
  execFile(file, args, { cwd, env, timeout: timeoutMs, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => {
    const code = error === null ? 0 : typeof error.code === "number" ? error.code : undefined;
    resolve({ code, stdout, stderr: code === undefined ? `${stderr}${String(error)}` : stderr });
  });
  return promise;
}
