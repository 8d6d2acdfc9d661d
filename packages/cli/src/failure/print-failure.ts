import type { ProgressStream } from "../terminal/progress-line.ts";
import { printable } from "../terminal/printable.ts";
import { createStyle, hasColours } from "../terminal/style.ts";
import { type Failure, usageReason } from "./failure.ts";

/** Options of {@link printFailure}. */
export interface PrintFailureOptions {
  readonly stderr: ProgressStream;
  readonly env: NodeJS.ProcessEnv;
  readonly json: boolean;
}

/** The exit code of a failure: 2 for a command line that makes no sense, 130 for one that was interrupted, else 1. */
export function exitCodeOf({ reason }: Failure, interrupted: boolean): number {
  if (reason === usageReason) return 2;
  return interrupted ? 130 : 1;
}

/** Prints a failure: the message, what to do, and the reason's code; with JSON one object. */
export function printFailure(failure: Failure, { stderr, env, json }: PrintFailureOptions): void {
  if (json) {
    stderr.write(`${JSON.stringify({ error: failure })}\n`);
    return;
  }
  const style = createStyle(hasColours(stderr, env));
  const { message, advice, reason } = failure;
  stderr.write(`${style.red(style.bold("error:"))} ${printable(message)}\n`);
  if (advice !== undefined) stderr.write(`  ${printable(advice)}\n`);
  stderr.write(`  ${style.dim(`(${reason})`)}\n`);
}
