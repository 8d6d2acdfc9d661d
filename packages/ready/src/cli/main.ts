#!/usr/bin/env node
// The vdc-ready command.

// Node.js says of its SQLite and of modules in TypeScript that they are new; whoever types a command can't do anything about it.
process.removeAllListeners("warning");
process.on("warning", (warning: Error & { readonly code?: string }) => {
  if (warning.name === "ExperimentalWarning" || warning.code === "MODULE_TYPELESS_PACKAGE_JSON") return;
  process.stderr.write(`warning: ${warning.message}\n`);
});

const interrupt = new AbortController();
const onSignal = (): void => {
  // The second time there is no waiting.
  if (interrupt.signal.aborted) process.exit(130);
  interrupt.abort(new Error("interrupted"));
  process.stderr.write("\nvdc-ready: ends after this requirement; once more to end at once\n");
};
process.on("SIGINT", onSignal);
process.on("SIGTERM", onSignal);

// What a plugin prints is not what the command says of it: that alone is on standard output.
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);

async function main(): Promise<void> {
  const { isTTY, columns } = process.stdout;
  const { runCommandLine } = await import("./run-command-line.ts");
  const code = await runCommandLine({
    args: process.argv.slice(2),
    cwd: process.cwd(),
    env: process.env,
    stdout: { isTTY, columns, write: (text) => print(text) },
    stderr: process.stderr,
    signal: interrupt.signal,
  });
  // What a plugin left behind was reported; it does not keep the command.
  print("", () => process.stderr.write("", () => process.exit(interrupt.signal.aborted ? 130 : code)));
}

void main();
