/** The unit in which content is kept, in bytes. */
export const blockBytes = 4096;

/** A block that reads as zeroes, whatever the parent has there. */
const zeroes: Uint8Array = new Uint8Array(blockBytes);

/**
 * A sparse, copy-on-write content: blocks of its own, and a parent for the others. Blocks are never changed in place, so that copies
 * and clones share them.
 */
export class SparseLayer {
  readonly #blocks: Map<number, Uint8Array> = new Map();
  #parent: SparseLayer | undefined;
  /** The parent shows only below this offset: a content that has shrunk and grown again reads as zeroes there. */
  #parentLimit: number;

  constructor(parent?: SparseLayer, parentLimit: number = Number.MAX_SAFE_INTEGER) {
    this.#parent = parent;
    this.#parentLimit = parent === undefined ? 0 : parentLimit;
  }

  get parent(): SparseLayer | undefined {
    return this.#parent;
  }

  /** What its own blocks take, in bytes. */
  get ownBytes(): number {
    let count = 0;
    for (const block of this.#blocks.values()) if (block !== zeroes) count += 1;
    return count * blockBytes;
  }

  read(offset: number, length: number): Uint8Array {
    const result = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const position = offset + at;
      const within = position % blockBytes;
      const count = Math.min(blockBytes - within, length - at);
      const block = this.#find((position - within) / blockBytes);
      if (block !== undefined) result.set(block.subarray(within, within + count), at);
      at += count;
    }
    return result;
  }

  /** Writes, and returns the numbers of the blocks that were touched. */
  write(offset: number, bytes: Uint8Array): readonly number[] {
    const touched: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      const position = offset + at;
      const within = position % blockBytes;
      const count = Math.min(blockBytes - within, bytes.length - at);
      const number = (position - within) / blockBytes;
      const block = new Uint8Array(this.#find(number) ?? zeroes);
      block.set(bytes.subarray(at, at + count), within);
      this.#blocks.set(number, block);
      touched.push(number);
      at += count;
    }
    return touched;
  }

  /** Makes a range read as zeroes, and gives back what whole blocks of it took. Returns the numbers of the blocks that were touched. */
  discard(offset: number, length: number): readonly number[] {
    const touched: number[] = [];
    const end = offset + length;
    const firstWhole = Math.ceil(offset / blockBytes);
    const lastWhole = Math.floor(end / blockBytes);
    if (firstWhole >= lastWhole) return this.write(offset, new Uint8Array(length));
    touched.push(...this.write(offset, new Uint8Array(firstWhole * blockBytes - offset)));
    for (const number of this.numbers()) {
      if (number < firstWhole || number >= lastWhole) continue;
      if (this.#parent === undefined) this.#blocks.delete(number);
      else this.#blocks.set(number, zeroes);
      touched.push(number);
    }
    touched.push(...this.write(lastWhole * blockBytes, new Uint8Array(end - lastWhole * blockBytes)));
    return touched;
  }

  /** Cuts the content off at a size. */
  truncate(size: number): void {
    this.#parentLimit = Math.min(this.#parentLimit, size);
    const within = size % blockBytes;
    const edge = (size - within) / blockBytes;
    if (within !== 0 && this.#find(edge) !== undefined) this.write(size, new Uint8Array(blockBytes - within));
    for (const number of [...this.#blocks.keys()]) if (number * blockBytes >= size) this.#blocks.delete(number);
  }

  /** The numbers of all blocks that hold something, also the parents', in order. */
  numbers(): readonly number[] {
    const found = new Set<number>();
    for (let layer: SparseLayer | undefined = this; layer !== undefined; layer = layer.#parent) {
      for (const number of layer.#blocks.keys()) found.add(number);
    }
    return [...found].filter((number) => (this.#find(number) ?? zeroes) !== zeroes).sort((a, b) => a - b);
  }

  /** A content of its own that reads the same. */
  flattened(): SparseLayer {
    const copy = new SparseLayer();
    for (const number of this.numbers()) copy.#blocks.set(number, this.#find(number) ?? zeroes);
    return copy;
  }

  /** Gives back blocks that are all zeroes. Returns how many bytes that were. */
  reclaim(): number {
    let count = 0;
    for (const [number, block] of this.#blocks) {
      if (block === zeroes || block.some((byte) => byte !== 0)) continue;
      if (this.#parent === undefined) this.#blocks.delete(number);
      else this.#blocks.set(number, zeroes);
      count += 1;
    }
    return count * blockBytes;
  }

  #find(number: number): Uint8Array | undefined {
    for (let layer: SparseLayer | undefined = this; layer !== undefined; layer = layer.#parent) {
      const block = layer.#blocks.get(number);
      if (block !== undefined) return block;
      if (number * blockBytes >= layer.#parentLimit) return undefined;
    }
    return undefined;
  }
}
