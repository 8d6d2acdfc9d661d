import { Writable } from "node:stream";
import { CommanderError } from "commander";
import type { Command } from "commander";
import type { VdcError } from "@vdc-os/core";
import type { BindAction } from "./commands/command-context.ts";
import { createProgram } from "./commands/program.ts";
import { advised, failureOf, usageError } from "./failure/failure.ts";
import { exitCodeOf, printFailure } from "./failure/print-failure.ts";
import type { ProgressStream } from "./terminal/progress-line.ts";
import { Terminal } from "./terminal/terminal.ts";

/** Options of {@link runCommandLine}. */
export interface RunCommandLineOptions {
  /** Without the program's own name. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: ProgressStream;
  readonly stderr: ProgressStream;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
}

/** Runs a command line to its end. Returns the exit code; never rejects. */
export async function runCommandLine(options: RunCommandLineOptions): Promise<number> {
  const { args, cwd, env, stdout, stderr, signal } = options;
  const json = args.includes("--json");
  const debug = args.includes("--debug");
  const bind: BindAction =
    (action) =>
    async (...all) => {
      const command = all.at(-1) as Command;
      const given = command.optsWithGlobals();
      const terminal = new Terminal({ stdout, stderr, env, json });
      const bytes = stdout instanceof Writable ? stdout : undefined;
      const context = { terminal, stdout: bytes, cwd, env, configPath: given.config as string | undefined, signal };
      await action(context, given as never, command.processedArgs);
    };
  const program = createProgram(bind, {
    writeOut: (text) => void stdout.write(text),
    // What a command line that makes no sense is told is printed once, below.
    writeErr: (text) => void (json || text.startsWith("error:") ? undefined : stderr.write(text)),
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (error instanceof CommanderError && error.code === "commander.help" && !json) return 2;
    if (debug && error instanceof Error) stderr.write(`${error.stack ?? ""}\n`);
    const failure = failureOf(error instanceof CommanderError ? usageOf(error) : error);
    const interrupted = signal.aborted && failure.code === "CANCELLED";
    printFailure(
      interrupted
        ? advised(
            failure,
            failure.advice ?? "What was begun is undone, or is finished when the datacenter is opened again.",
          )
        : failure,
      {
        stderr,
        env,
        json,
      },
    );
    return exitCodeOf(failure, interrupted);
  }
}

function usageOf({ code, message }: CommanderError): VdcError {
  if (code === "commander.help") return usageError("no command was given");
  return usageError(message.replace(/^error: /, ""));
}
