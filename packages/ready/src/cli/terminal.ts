/** Where a command writes: a stream, and whether a person sits there. */
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Whether colours may be used: on a terminal, unless its user said `NO_COLOR`. */
export function mayColor(terminal: Terminal, env: Readonly<Record<string, string | undefined>>): boolean {
  return terminal.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}
