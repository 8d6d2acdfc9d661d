import type { Readable } from "node:stream";

/** Options of {@link readLines}. */
export interface ReadLinesOptions {
  /** The longest line, in characters (UTF-16 units). What is beyond is dropped. */
  readonly maxLength: number;
  readonly onLine: (line: string) => void;
}

/**
 * Reads UTF-8 text from a stream that may be hostile, line by line (`\n` or `\r\n`): at most one line of `maxLength` is held, however long one
 * is. What comes after the last line's end is a line too.
 */
export function readLines(input: Readable, { maxLength, onLine }: ReadLinesOptions): void {
  let line = "";
  const add = (text: string): void => {
    // One character more than is kept: it may be the `\r` of the end.
    line += text.slice(0, Math.max(0, maxLength + 1 - line.length));
  };
  const end = (): void => {
    onLine((line.endsWith("\r") ? line.slice(0, -1) : line).slice(0, maxLength));
    line = "";
  };
  input.setEncoding("utf8");
  input.on("data", (text: string) => {
    let at = 0;
    for (let next = text.indexOf("\n"); next >= 0; next = text.indexOf("\n", at)) {
      add(text.slice(at, next));
      end();
      at = next + 1;
    }
    add(text.slice(at));
  });
  input.on("end", () => {
    if (line !== "") end();
  });
}
