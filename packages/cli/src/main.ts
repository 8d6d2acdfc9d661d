#!/usr/bin/env node
// The vdc command.
import { enableCompileCache } from "node:module";

// What was compiled once is kept for the next command, in the system's folder for temporary files: it answers in half the time. The rest is loaded below, so that
// it is kept too.
enableCompileCache();

// Node.js says of its SQLite and of configs in TypeScript that they are new; whoever types a command can't do anything about it.
process.removeAllListeners("warning");
process.on("warning", (warning: Error & { readonly code?: string }) => {
  if (warning.name === "ExperimentalWarning" || warning.code === "MODULE_TYPELESS_PACKAGE_JSON") return;
  process.stderr.write(`warning: ${warning.message}\n`);
});

const interrupt = new AbortController();
const onSignal = (): void => {
  // The second time there is no waiting.
  if (interrupt.signal.aborted) process.exit(130);
  const reason = new Error("interrupted");
  reason.name = "AbortError";
  interrupt.abort(reason);
};
process.on("SIGINT", onSignal);
process.on("SIGTERM", onSignal);
// A reader that has seen enough ends the command, as it does others.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") interrupt.abort(new Error("nobody reads the output"));
  else throw error;
});

async function main(): Promise<void> {
  const { runCommandLine } = await import("./run-command-line.ts");
  process.exitCode = await runCommandLine({
    args: process.argv.slice(2),
    cwd: process.cwd(),
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: interrupt.signal,
  });
  process.removeListener("SIGINT", onSignal);
  process.removeListener("SIGTERM", onSignal);
}

void main();
