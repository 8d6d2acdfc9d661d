#!/usr/bin/env node
import { realpathSync } from "node:fs";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { dataWords, type Word } from "./ovsdb-words.ts";
import { serverWords } from "./server-words.ts";

/** What the command answered: its exit status and what it printed. */
export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

const words: Readonly<Record<string, Word>> = { ...dataWords, ...serverWords };

/** Runs the command, in this process. */
export async function runTestOvsdb(args: readonly string[]): Promise<Outcome> {
  // Options of the original, such as '--' and '--verbose', mean nothing here.
  const [name = "help", ...rest] = args.filter((arg, index) => index > 1 || !arg.startsWith("-"));
  const word = words[name];
  if (word === undefined) {
    const known = Object.keys(words).join(", ");
    return { status: 2, out: "", err: `test-ovsdb: unknown word '${name}'; there are: ${known}\n` };
  }
  try {
    const lines = await word(...rest);
    return { status: 0, out: lines.map((line) => `${line}\n`).join(""), err: "" };
  } catch (error) {
    return { status: 1, out: "", err: `test-ovsdb: ${error instanceof Error ? error.message : String(error)}\n` };
  }
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(argv[1])).href) {
  const { status, out, err } = await runTestOvsdb(argv.slice(2));
  process.stdout.write(out);
  process.stderr.write(err);
  process.exitCode = status;
}
