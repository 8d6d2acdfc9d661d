import { LENGTH_PREFIX_BYTES, MAX_FRAME_BYTES } from "./ethernet-frame.ts";

/** The largest record that QEMU itself sends or takes (NET_BUFSIZE in its net/net.h). */
export const QEMU_BUFFER_BYTES: number = 4096 + 65536;

export interface FrameSplitterOptions {
  /** Gets each frame as `buffer[start, end)`, its length prefix in the four bytes before `start`. */
  readonly onFrame: (buffer: Buffer, start: number, end: number) => void;
  /** Gets the length of each frame that is too long to be an Ethernet frame; its bytes are skipped. */
  readonly onTooLong: (length: number) => void;
}

/**
 * Cuts QEMU's stream framing (32-bit big-endian length, then the frame) out of chunks. Frames that lie whole in a chunk are handed over
 * in place; only one that spans chunks is copied. Holds at most one frame.
 */
export class FrameSplitter {
  readonly #options: FrameSplitterOptions;
  /** The record that the last chunk began and didn't finish, with room for all of it once its length is known. */
  readonly #prefix: Buffer = Buffer.alloc(LENGTH_PREFIX_BYTES);
  #partial: Buffer | undefined;
  #filled = 0;
  #skip = 0;

  constructor(options: FrameSplitterOptions) {
    this.#options = options;
  }

  /** Takes the next chunk. False when it claims a frame beyond `QEMU_BUFFER_BYTES`: the framing is lost, and the stream with it. */
  push(chunk: Buffer): boolean {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - offset);
        this.#skip -= skipped;
        offset += skipped;
      } else if (this.#filled > 0) {
        offset = this.#continue(chunk, offset);
        if (offset < 0) return false;
      } else {
        const start = offset + LENGTH_PREFIX_BYTES;
        if (start > chunk.length) {
          this.#filled = chunk.copy(this.#prefix, 0, offset);
          return true;
        }
        const length = chunk.readUInt32BE(offset);
        if (length > MAX_FRAME_BYTES) {
          if (!this.#skipFrame(length)) return false;
          offset = start;
        } else if (start + length > chunk.length) {
          this.#partial = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + length);
          this.#filled = chunk.copy(this.#partial, 0, offset);
          return true;
        } else {
          this.#options.onFrame(chunk, start, start + length);
          offset = start + length;
        }
      }
    }
    return true;
  }

  /** Goes on with the record that an earlier chunk began. Returns the offset after what it used, or -1 when the framing is lost. */
  #continue(chunk: Buffer, from: number): number {
    let offset = from;
    if (this.#partial === undefined) {
      const copied = chunk.copy(this.#prefix, this.#filled, offset);
      this.#filled += copied;
      offset += copied;
      if (this.#filled < LENGTH_PREFIX_BYTES) return offset;
      const length = this.#prefix.readUInt32BE(0);
      if (length > MAX_FRAME_BYTES) {
        this.#filled = 0;
        return this.#skipFrame(length) ? offset : -1;
      }
      this.#partial = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + length);
      this.#prefix.copy(this.#partial);
    }
    const copied = chunk.copy(this.#partial, this.#filled, offset);
    this.#filled += copied;
    if (this.#filled === this.#partial.length) {
      const record = this.#partial;
      this.#partial = undefined;
      this.#filled = 0;
      this.#options.onFrame(record, LENGTH_PREFIX_BYTES, record.length);
    }
    return offset + copied;
  }

  #skipFrame(length: number): boolean {
    if (length > QEMU_BUFFER_BYTES) return false;
    this.#skip = length;
    this.#options.onTooLong(length);
    return true;
  }
}
