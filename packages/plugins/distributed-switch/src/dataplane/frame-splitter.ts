import { LENGTH_PREFIX_BYTES, MAX_FRAME_BYTES } from "./ethernet-frame.ts";

/** The largest record that QEMU itself sends or takes (NET_BUFSIZE in its net/net.h). */
export const QEMU_BUFFER_BYTES: number = 4096 + 65536;
/** What a chunk can leave of a record that isn't whole: less than this. */
export const TAIL_BYTES: number = LENGTH_PREFIX_BYTES + MAX_FRAME_BYTES;

const NOTHING: Buffer = Buffer.alloc(0);

export interface FrameSplitterOptions {
  /** Gets each frame as `buffer[start, end)`, its length prefix in the four bytes before `start`. */
  readonly onFrame: (buffer: Buffer, start: number, end: number) => void;
  /** Gets the length of each frame that is too long to be an Ethernet frame; its bytes are skipped. */
  readonly onTooLong: (length: number) => void;
}

/**
 * Cuts QEMU's stream framing (32-bit big-endian length, then the frame) where it lies. Only the beginning of a record that spans chunks
 * is copied, so that every frame is in one piece, and runs of frames are too. Holds less than one record.
 */
export class FrameSplitter {
  readonly #options: FrameSplitterOptions;
  /** The beginning of a record whose end didn't come yet. */
  #tail: Buffer = NOTHING;
  /** Octets to come of a frame that is too long. */
  #skip = 0;

  constructor(options: FrameSplitterOptions) {
    this.#options = options;
  }

  /** Takes the next chunk. False when it claims a frame beyond `QEMU_BUFFER_BYTES`: the framing is lost, and the stream with it. */
  push(chunk: Buffer): boolean {
    const whole = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk]);
    return this.#split(whole, 0, whole.length);
  }

  /** As `push`, of `memory[from, to)`. Before `from` there are `TAIL_BYTES` that may be written to. Nothing refers to the memory afterwards. */
  pushInPlace(memory: Buffer, from: number, to: number): boolean {
    const start = from - this.#tail.length;
    this.#tail.copy(memory, start);
    return this.#split(memory, start, to);
  }

  #split(buffer: Buffer, from: number, to: number): boolean {
    let offset = from;
    for (;;) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, to - offset);
        this.#skip -= skipped;
        offset += skipped;
      }
      const start = offset + LENGTH_PREFIX_BYTES;
      if (start > to) break;
      const length = buffer.readUInt32BE(offset);
      const end = start + length;
      if (length > MAX_FRAME_BYTES) {
        if (length > QEMU_BUFFER_BYTES) return false;
        this.#skip = length;
        this.#options.onTooLong(length);
        offset = start;
      } else {
        if (end > to) break;
        this.#options.onFrame(buffer, start, end);
        offset = end;
      }
    }
    this.#tail = offset === to ? NOTHING : Buffer.from(buffer.subarray(offset, to));
    return true;
  }
}
