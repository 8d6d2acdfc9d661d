import { QmpError } from "./qmp-error.ts";

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into lines, whatever the chunk borders, in time linear in the bytes received.
 *
 * It never holds more than `maxLineBytes` of an unfinished line: a longer one throws `QMP_LINE_TOO_LONG`, after which the splitter
 * must not be used again. Bytes are decoded a line at a time, so a character cut by a chunk border stays whole.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Bytes kept of a line whose end has not arrived. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Calls `onLine` for each line that `chunk` completes, without its end of line; blank lines are skipped. */
  push(chunk: Buffer, onLine: (line: string) => void): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      const tail = chunk.subarray(start, end === -1 ? chunk.length : end);
      if (this.#heldBytes + tail.length > this.#maxLineBytes) {
        this.#held = [];
        this.#heldBytes = 0;
        throw new QmpError("QMP_LINE_TOO_LONG", `the peer sent a line of more than ${this.#maxLineBytes} bytes`);
      }
      if (end === -1) {
        this.#hold(tail);
        return;
      }
      const line = this.#take(tail);
      if (line !== "") onLine(line);
      start = end + 1;
    }
  }

  #hold(tail: Buffer): void {
    if (tail.length === 0) return;
    this.#heldBytes += tail.length;
    const last = this.#held.at(-1);
    // A peer that sends single bytes must not cost an object for each of them: small pieces are merged.
    if (last !== undefined && last.length < 4096 && tail.length < 4096) {
      this.#held[this.#held.length - 1] = Buffer.concat([last, tail]);
    } else {
      this.#held.push(tail);
    }
  }

  #take(tail: Buffer): string {
    const bytes = this.#heldBytes === 0 ? tail : Buffer.concat([...this.#held, tail]);
    this.#held = [];
    this.#heldBytes = 0;
    return bytes.toString("utf8").trim();
  }
}
