#!/usr/bin/env node
// The vdc command.
import { runCommandLine } from "./run-command-line.ts";

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

void runCommandLine({
  args: process.argv.slice(2),
  cwd: process.cwd(),
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
}).then((code) => {
  process.exitCode = code;
  process.removeListener("SIGINT", onSignal);
  process.removeListener("SIGTERM", onSignal);
});
