const CLASS_BYTES = 256 * 1024;

/**
 * Lends buffers of whole multiples of 256 KiB and keeps up to `retainBytes` of them for reuse, because the page faults of a fresh
 * large buffer cost more than filling it. Contents are left as they are: a borrower must overwrite what it sends.
 */
export class BufferPool {
  readonly #retainBytes: number;
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;

  constructor(retainBytes: number) {
    this.#retainBytes = retainBytes;
  }

  /** A buffer of at least `bytes`. */
  acquire(bytes: number): Buffer {
    const size = Math.ceil(bytes / CLASS_BYTES) * CLASS_BYTES;
    const buffer = this.#free.get(size)?.pop();
    if (!buffer) return Buffer.allocUnsafeSlow(size);
    this.#freeBytes -= size;
    return buffer;
  }

  /** Gives a buffer back; its borrower must not touch it again. */
  release(buffer: Buffer): void {
    const size = buffer.length;
    if (this.#freeBytes + size > this.#retainBytes) return;
    this.#freeBytes += size;
    const list = this.#free.get(size);
    if (list) list.push(buffer);
    else this.#free.set(size, [buffer]);
  }
}
