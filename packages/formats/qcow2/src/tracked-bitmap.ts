import { type BitmapEntry, bitmapTableEntries, readBitmapTable } from "./bitmap-directory.ts";
import type { ImageFile } from "./file-layer.ts";
import type { Header } from "./header.ts";

/** A run of bytes that a bitmap calls dirty. */
export interface DirtyRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * The bits of one bitmap: the table of the file, and the clusters of bits that were read or changed since. Bits past the end of the disk are
 * clear. What is in the file is read when it is needed.
 */
export class TrackedBitmap {
  readonly name: string;
  readonly granularityBits: number;
  enabled: boolean;
  /** The entry of the file, `undefined` until it is first stored. */
  entry: BitmapEntry | undefined;
  /** Each cluster of bits: 0 for clean, 1 for all dirty, else where it lies in the file. */
  table: Float64Array;
  readonly chunks: Map<number, Buffer> = new Map();
  readonly #file: ImageFile;
  readonly #clusterSize: number;
  #diskBytes: number;

  constructor(
    file: ImageFile,
    header: Header,
    bitmap: {
      readonly name: string;
      readonly granularityBits: number;
      readonly enabled: boolean;
      readonly entry?: BitmapEntry;
    },
  ) {
    this.name = bitmap.name;
    this.granularityBits = bitmap.granularityBits;
    this.enabled = bitmap.enabled;
    this.entry = bitmap.entry;
    this.#file = file;
    this.#clusterSize = header.geometry.clusterSize;
    this.#diskBytes = header.virtualSizeBytes;
    this.table = bitmap.entry
      ? readBitmapTable(file, header, bitmap.entry)
      : new Float64Array(bitmapTableEntries(header.virtualSizeBytes, bitmap.granularityBits, this.#clusterSize));
  }

  get granularityBytes(): number {
    return 2 ** this.granularityBits;
  }

  /** Sets the bits of a range of bytes. */
  mark(offset: number, length: number): void {
    if (length === 0) return;
    const first = Math.floor(offset / this.granularityBytes);
    const end = Math.ceil((offset + length) / this.granularityBytes);
    const chunkBits = this.#clusterSize * 8;
    for (let bit = first; bit < end; ) {
      const chunk = Math.floor(bit / chunkBits);
      const stop = Math.min(end, (chunk + 1) * chunkBits);
      if (this.chunks.has(chunk) || this.table[chunk] !== 1) {
        fillBits(this.#chunk(chunk), bit % chunkBits, stop - chunk * chunkBits);
      }
      bit = stop;
    }
  }

  clear(): void {
    this.chunks.clear();
    for (let chunk = 0; chunk < this.table.length; chunk++) {
      // An entry of the file keeps its place until the bitmap is stored, so that its cluster can be given back.
      if (this.table[chunk] !== 0) this.chunks.set(chunk, Buffer.alloc(this.#clusterSize));
    }
  }

  /** The dirty runs inside a range of bytes, in order and merged. The last one ends with the disk at most. */
  *dirtyRanges(offset = 0, length: number = this.#diskBytes - offset): Generator<DirtyRange> {
    const granularity = this.granularityBytes;
    const rangeEnd = Math.min(offset + length, this.#diskBytes);
    const endBit = Math.ceil(rangeEnd / granularity);
    let start = -1;
    const cut = (from: number, to: number): DirtyRange => {
      const first = Math.max(from * granularity, offset);
      return { offset: first, length: Math.min(to * granularity, rangeEnd) - first };
    };
    for (let bit = Math.floor(offset / granularity); bit < endBit; ) {
      const { set, end } = this.#run(bit, endBit);
      if (set && start < 0) start = bit;
      if (!set && start >= 0) {
        yield cut(start, bit);
        start = -1;
      }
      bit = end;
    }
    if (start >= 0 && rangeEnd > offset) yield cut(start, endBit);
  }

  /** What a cluster of bits holds, for storing it. */
  contentOf(chunk: number): Buffer | "clean" | "dirty" | "unchanged" {
    const bytes = this.chunks.get(chunk);
    if (bytes === undefined) return "unchanged";
    const bits = this.#bitsIn(chunk);
    if (bytes.every((byte) => byte === 0)) return "clean";
    const whole = Math.floor(bits / 8);
    const restIsSet = bits % 8 === 0 || bytes[whole] === 2 ** (bits % 8) - 1;
    if (restIsSet && bytes.subarray(0, whole).every((byte) => byte === 255)) return "dirty";
    return bytes;
  }

  /** Fits the bitmap to another size of the disk; new space is clean. Returns the clusters of bits that are no longer needed. */
  resize(diskBytes: number): number[] {
    const chunkBits = this.#clusterSize * 8;
    const keptBits = Math.ceil(Math.min(diskBytes, this.#diskBytes) / this.granularityBytes);
    const lastChunk = Math.floor(keptBits / chunkBits);
    // A last cluster of bits counts as all dirty up to the old end, so it is spelled out before that end moves.
    if (keptBits % chunkBits !== 0 && lastChunk < this.table.length) {
      const bytes = this.#chunk(lastChunk);
      for (let bit = keptBits % chunkBits; bit < chunkBits && bit % 8 !== 0; bit++) {
        const at = bit >> 3;
        bytes[at] = (bytes[at] ?? 0) & ~(1 << (bit & 7));
      }
      bytes.fill(0, Math.ceil((keptBits % chunkBits) / 8));
    }
    const entries = bitmapTableEntries(diskBytes, this.granularityBits, this.#clusterSize);
    const dropped = [...this.table.subarray(Math.min(entries, this.table.length))].filter((offset) => offset > 1);
    const table = new Float64Array(entries);
    table.set(this.table.subarray(0, Math.min(entries, this.table.length)));
    this.table = table;
    for (const chunk of [...this.chunks.keys()]) if (chunk >= entries) this.chunks.delete(chunk);
    this.#diskBytes = diskBytes;
    return dropped;
  }

  #bitsIn(chunk: number): number {
    const chunkBits = this.#clusterSize * 8;
    return Math.min(chunkBits, Math.ceil(this.#diskBytes / this.granularityBytes) - chunk * chunkBits);
  }

  #chunk(chunk: number): Buffer {
    let bytes = this.chunks.get(chunk);
    if (bytes !== undefined) return bytes;
    bytes = this.#read(chunk);
    this.chunks.set(chunk, bytes);
    return bytes;
  }

  #read(chunk: number): Buffer {
    const bytes = Buffer.alloc(this.#clusterSize);
    const offset = this.table[chunk] ?? 0;
    const bits = this.#bitsIn(chunk);
    if (offset === 1) fillBits(bytes, 0, bits);
    else if (offset !== 0) {
      this.#file.readSync(bytes, offset);
      const whole = Math.floor(bits / 8);
      if (bits % 8 !== 0) bytes[whole] = (bytes[whole] ?? 0) & (2 ** (bits % 8) - 1);
      bytes.fill(0, Math.ceil(bits / 8));
    }
    return bytes;
  }

  /** Whether a bit is set, and where the run of such bits ends, inside its cluster of bits. */
  #run(bit: number, endBit: number): { readonly set: boolean; readonly end: number } {
    const chunkBits = this.#clusterSize * 8;
    const chunk = Math.floor(bit / chunkBits);
    const end = Math.min(endBit, (chunk + 1) * chunkBits);
    const offset = this.table[chunk] ?? 0;
    const known = this.chunks.get(chunk);
    if (known === undefined && offset <= 1) return { set: offset === 1, end };
    // Read for looking only, it does not stay: else a look at a large bitmap would keep all of it in memory.
    const bytes = known ?? this.#viewed(chunk);
    let at = bit % chunkBits;
    const last = end - chunk * chunkBits;
    const set = ((bytes[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
    const same = set ? 255 : 0;
    while (at < last) {
      if ((at & 7) === 0 && bytes[at >> 3] === same) {
        at += 8;
        continue;
      }
      if ((((bytes[at >> 3] ?? 0) >> (at & 7)) & 1) !== (set ? 1 : 0)) break;
      at++;
    }
    return { set, end: chunk * chunkBits + Math.min(at, last) };
  }

  #view: { readonly chunk: number; readonly offset: number; readonly bytes: Buffer } | undefined;

  #viewed(chunk: number): Buffer {
    const offset = this.table[chunk] ?? 0;
    if (this.#view?.chunk !== chunk || this.#view.offset !== offset) {
      this.#view = { chunk, offset, bytes: this.#read(chunk) };
    }
    return this.#view.bytes;
  }
}

/** Sets the bits from `first` up to `end`, counted from the least significant one of the first byte. */
function fillBits(bytes: Buffer, first: number, end: number): void {
  let bit = first;
  for (; bit < end && (bit & 7) !== 0; bit++) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
  const whole = end - ((end - bit) & 7);
  if (whole > bit) bytes.fill(255, bit >> 3, whole >> 3);
  for (bit = Math.max(bit, whole); bit < end; bit++) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
}
