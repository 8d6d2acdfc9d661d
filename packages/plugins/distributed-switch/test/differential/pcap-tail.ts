import { closeSync, openSync, readSync } from "node:fs";

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

/** Reads the frames that another process appends to a capture file of this machine's byte order. */
export class PcapTail implements Disposable {
  readonly #file: number;
  readonly #chunk: Buffer = Buffer.alloc(64 * 1024);
  #offset = FILE_HEADER_BYTES;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.#file = openSync(path, "r");
  }

  /** The frames that were appended since the last call. */
  read(): Buffer[] {
    for (;;) {
      const count = readSync(this.#file, this.#chunk, 0, this.#chunk.length, this.#offset);
      if (count === 0) break;
      this.#offset += count;
      this.#rest = Buffer.concat([this.#rest, this.#chunk.subarray(0, count)]);
    }
    const frames: Buffer[] = [];
    let at = 0;
    while (this.#rest.length - at >= RECORD_HEADER_BYTES) {
      const start = at + RECORD_HEADER_BYTES;
      const end = start + this.#rest.readUInt32LE(at + 8);
      if (end > this.#rest.length) break;
      frames.push(Buffer.from(this.#rest.subarray(start, end)));
      at = end;
    }
    this.#rest = this.#rest.subarray(at);
    return frames;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
