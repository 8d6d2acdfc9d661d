const EMPTY = Buffer.alloc(0);
const SMALL_BYTES = 64;
/** A buffer for split payloads up to this size is kept for the next one. */
const KEEP_BYTES = 2 * 1024 * 1024;
/** What a socket that reads into the reader's own buffers is offered at once. */
const RECEIVE_BYTES = 256 * 1024;
/** The missing rest of a run is received in place from this size on; for less, another chunk is the better use of a system call. */
const DIRECT_BYTES = 32 * 1024;

/**
 * Finds contiguous runs of bytes in a stream of chunks, without a copy where a run lies within one chunk.
 *
 * Usage: `feed` a chunk, then `ensure(n)` and read `n` bytes of `buffer` from `at`, then `consume(n)`; when `ensure` says false the
 * chunk is used up. A run that spans chunks is gathered in a buffer of exactly its size, so the memory held is bounded by the largest
 * `n` asked for.
 *
 * A stream that can read into a given buffer asks `space` for one before each read, and tells `received` how much came: then chunks
 * are not allocated anew each time, and the rest of a large run is received where it is gathered.
 */
export class ByteReader {
  /** Where the bytes that `ensure` found are. */
  buffer: Buffer = EMPTY;
  /** Their offset in `buffer`. */
  at = 0;

  #chunk: Buffer = EMPTY;
  #chunkAt = 0;
  #small: Buffer = Buffer.alloc(SMALL_BYTES);
  #large: Buffer = EMPTY;
  #carry: Buffer = EMPTY;
  #wanted = 0;
  #filled = 0;
  #receive: Buffer | undefined;
  /** Whether the space that was given out last is the rest of the run that is being gathered. */
  #isDirect = false;

  /** Adds a chunk. Where the earlier one is not used up both are copied: sockets that are paused in time never cause that. */
  feed(chunk: Buffer): void {
    this.#chunk = this.hasMore ? Buffer.concat([this.#chunk.subarray(this.#chunkAt), chunk]) : chunk;
    this.#chunkAt = 0;
  }

  /** Where the next bytes are to be put. Whoever asks puts them there before anybody reads on, or asks again. */
  space(): Buffer {
    this.#isDirect = this.#wanted - this.#filled >= DIRECT_BYTES && !this.hasMore;
    if (this.#isDirect) return this.#carry.subarray(this.#filled, this.#wanted);
    // What was not consumed yet must not be written over.
    if (this.#receive === undefined || this.hasMore) this.#receive = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
    return this.#receive;
  }

  /** The first `bytes` bytes of the last `space` are there. */
  received(bytes: number): void {
    if (this.#isDirect) this.#filled += bytes;
    else if (this.#receive) this.feed(this.#receive.subarray(0, bytes));
  }

  /** True while the chunk has bytes that were not consumed. */
  get hasMore(): boolean {
    return this.#chunkAt < this.#chunk.length;
  }

  /** True when `n` bytes are there. Until they are, ask for the same `n` again. */
  ensure(n: number): boolean {
    const available = this.#chunk.length - this.#chunkAt;
    if (this.#wanted === 0) {
      if (available >= n) {
        this.buffer = this.#chunk;
        this.at = this.#chunkAt;
        return true;
      }
      if (available === 0) return false;
      this.#wanted = n;
      this.#filled = 0;
      this.#carry = n <= SMALL_BYTES ? this.#small : this.#allocate(n);
    }
    const take = Math.min(this.#wanted - this.#filled, available);
    if (take > 0) {
      this.#chunk.copy(this.#carry, this.#filled, this.#chunkAt, this.#chunkAt + take);
      this.#filled += take;
      this.#chunkAt += take;
    }
    if (this.#filled < this.#wanted) {
      this.#chunk = EMPTY;
      this.#chunkAt = 0;
      return false;
    }
    this.buffer = this.#carry;
    this.at = 0;
    return true;
  }

  /** Passes over the `n` bytes that `ensure(n)` found. They stay readable until the next call of `ensure`. */
  consume(n: number): void {
    if (this.#wanted === 0) {
      this.#chunkAt += n;
      return;
    }
    this.#wanted = 0;
    this.#carry = EMPTY;
  }

  /** Finds up to `n` bytes of the chunk in `buffer` from `at`, passes over them, and tells how many they are. */
  take(n: number): number {
    const taken = Math.min(n, this.#chunk.length - this.#chunkAt);
    this.buffer = this.#chunk;
    this.at = this.#chunkAt;
    this.#chunkAt += taken;
    return taken;
  }

  /** Passes over up to `n` bytes and tells how many are still to pass over. */
  skip(n: number): number {
    const take = Math.min(n, this.#chunk.length - this.#chunkAt);
    this.#chunkAt += take;
    return n - take;
  }

  /** Leaves the buffer of the last run to its holder: it will not be written to again. */
  surrender(): void {
    if (this.buffer === this.#large) this.#large = EMPTY;
    else if (this.buffer.buffer === this.#receive?.buffer) this.#receive = undefined;
  }

  #allocate(n: number): Buffer {
    if (n <= this.#large.length) return this.#large;
    const size = n <= KEEP_BYTES ? Math.max(n, 128 * 1024) : n;
    const fresh = Buffer.allocUnsafeSlow(size);
    if (size <= KEEP_BYTES) this.#large = fresh;
    return fresh;
  }
}
