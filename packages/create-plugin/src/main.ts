#!/usr/bin/env node
// `npm create @vdc-os/plugin`.
import { runCommandLine } from "./run-command-line.ts";

async function main(): Promise<void> {
  const { stdin, stdout, stderr, argv } = process;
  process.exitCode = await runCommandLine({
    args: argv.slice(2),
    cwd: process.cwd(),
    stdin: stdin.isTTY === true ? stdin : undefined,
    stdout,
    stderr,
  });
}

void main();
