import type { Writable } from "node:stream";
import type { Command } from "commander";
import type { Terminal } from "../terminal/terminal.ts";

/** What a command works with. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Standard output itself, for bytes that are no text; `undefined` where there is none. */
  readonly stdout: Writable | undefined;
  /** The folder that relative paths count from. */
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** The config module that was named. */
  readonly configPath: string | undefined;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
}

/** What a command does. Its options are those of its command line, in camel case. */
export type CommandAction<Options> = (
  context: CommandContext,
  options: Options,
  args: readonly (string | readonly string[] | undefined)[],
) => Promise<void>;

/** Makes an action what commander calls. */
export type BindAction = <Options>(action: CommandAction<Options>) => (...all: unknown[]) => Promise<void>;

/** Adds commands to a parent. */
export type AddCommands = (parent: Command, bind: BindAction) => void;

/** An argument that its command line cannot be without. */
export function textArgument(args: readonly (string | readonly string[] | undefined)[], at: number): string {
  const value = args[at];
  if (typeof value === "string") return value;
  throw new TypeError(`argument ${at} is no text`);
}

/** A repeatable argument. */
export function listArgument(args: readonly (string | readonly string[] | undefined)[], at: number): readonly string[] {
  const value = args[at];
  return typeof value === "string" || value === undefined ? [] : value;
}

/** Examples, as a command's help shows them at its end. */
export function examples(lines: readonly (readonly [line: string, what: string])[]): string {
  const widest = Math.max(...lines.map(([line]) => line.length));
  return `\nExamples:\n${lines.map(([line, what]) => `  ${line.padEnd(widest)}  # ${what}`).join("\n")}\n`;
}
