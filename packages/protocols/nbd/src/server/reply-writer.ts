import type { Duplex } from "node:stream";
import type { BufferPool } from "./buffer-pool.ts";

interface Block {
  readonly buffer: Buffer;
  /** Writes and regions that still use the buffer. */
  users: number;
}

/** A part of a block that one request owns until it is sent or dropped. */
export interface ReplyRegion {
  readonly block: Block;
  readonly at: number;
  readonly length: number;
}

/**
 * Gathers replies in borrowed buffers, so that all replies to one chunk of requests leave in one write, and a backend reads straight
 * into the bytes that are sent.
 *
 * Usage: `reserve(n)`, fill `buffer` from the offset it tells, then `commit(n)`, or reserve anew to forget it, or `detach(n)` to finish
 * it later; `flush()` at the end of the batch.
 */
export class ReplyWriter {
  readonly #socket: Duplex;
  readonly #pool: BufferPool;
  readonly #onWritten: () => void;
  #block: Block | undefined;
  #start = 0;
  #used = 0;

  constructor(socket: Duplex, pool: BufferPool, onWritten: () => void) {
    this.#socket = socket;
    this.#pool = pool;
    this.#onWritten = onWritten;
  }

  /** Bytes of replies that the peer's socket has not taken yet. */
  get queuedBytes(): number {
    return this.#used - this.#start + this.#socket.writableLength;
  }

  /** The buffer of the last reservation. */
  get buffer(): Buffer {
    // Only read between reserve and commit, when there is a block.
    return (this.#block as Block).buffer;
  }

  /** Makes room for `bytes` and tells where in `buffer`. */
  reserve(bytes: number): number {
    if (this.#block && this.#block.buffer.length - this.#used < bytes) {
      this.flush();
      this.#retire();
    }
    this.#block ??= { buffer: this.#pool.acquire(bytes), users: 0 };
    return this.#used;
  }

  /** Adds the reserved bytes to the batch. */
  commit(bytes: number): void {
    this.#used += bytes;
  }

  /** Takes the reserved bytes out of the batch, to be finished later. */
  detach(bytes: number): ReplyRegion {
    const block = this.#block as Block;
    const at = this.#used;
    this.flush();
    block.users++;
    this.#used = at + bytes;
    this.#start = this.#used;
    return { block, at, length: bytes };
  }

  /** Sends a detached region, or only its first bytes. */
  send(region: ReplyRegion, bytes: number = region.length): void {
    const { block, at } = region;
    this.#write(block, at, at + bytes);
    this.#release(block);
  }

  /** Gives a detached region back without sending it. */
  drop(region: ReplyRegion): void {
    this.#release(region.block);
  }

  /** Sends what was committed. */
  flush(): void {
    const block = this.#block;
    if (!block || this.#used === this.#start) return;
    const start = this.#start;
    this.#start = this.#used;
    this.#write(block, start, this.#used);
  }

  #write(block: Block, start: number, end: number): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    block.users++;
    this.#socket.write(block.buffer.subarray(start, end), () => {
      this.#release(block);
      this.#onWritten();
    });
  }

  #release(block: Block): void {
    block.users--;
    if (block.users > 0) return;
    if (block !== this.#block) this.#pool.release(block.buffer);
    else if (this.#start === this.#used) this.#retire();
  }

  #retire(): void {
    const block = this.#block;
    if (!block) return;
    this.#block = undefined;
    this.#start = 0;
    this.#used = 0;
    if (block.users === 0) this.#pool.release(block.buffer);
  }
}
