import type { BlockBackend, BlockExtent } from "../src/index.ts";

const BLOCK = 4096;
const SPARSE_BYTES = 1024 * 1024;

export interface MemoryDisk
  extends Required<Omit<BlockBackend, "readOnly" | "cache" | "resize" | "bitmaps" | "sparseReads" | "fastZeroes">> {
  readonly bytes: Buffer;
  /** Calls of each method. */
  readonly calls: Record<"read" | "write" | "flush" | "trim" | "writeZeroes" | "extents", number>;
}

/** A disk in memory that answers at once and knows which of its 4 KiB blocks were written. */
export function createMemoryDisk(sizeBytes: number): MemoryDisk {
  const bytes = Buffer.alloc(sizeBytes);
  const states = new Uint8Array(Math.ceil(sizeBytes / BLOCK));
  const kinds = ["hole", "data", "zero"] as const;
  const calls = { read: 0, write: 0, flush: 0, trim: 0, writeZeroes: 0, extents: 0 };
  const mark = (offset: number, length: number, state: number): void => {
    if (length > 0) states.fill(state, Math.floor(offset / BLOCK), Math.floor((offset + length - 1) / BLOCK) + 1);
  };
  const clear = (offset: number, length: number, state: number): void => {
    bytes.fill(0, offset, offset + length);
    const first = Math.ceil(offset / BLOCK);
    const end = Math.floor((offset + length) / BLOCK);
    if (end > first) states.fill(state, first, end);
  };
  return {
    bytes,
    calls,
    sizeBytes,
    sharedFlush: true,
    read: (target, offset) => {
      calls.read++;
      bytes.copy(target, 0, offset, offset + target.length);
    },
    write: (source, offset) => {
      calls.write++;
      source.copy(bytes, offset);
      mark(offset, source.length, 1);
    },
    flush: () => {
      calls.flush++;
    },
    trim: (offset, length) => {
      calls.trim++;
      clear(offset, length, 0);
    },
    writeZeroes: (offset, length, { noHole }) => {
      calls.writeZeroes++;
      clear(offset, length, noHole ? 2 : 0);
    },
    *extents(offset, length): Generator<BlockExtent> {
      calls.extents++;
      for (let at = offset; at < offset + length; ) {
        const end = Math.min((Math.floor(at / BLOCK) + 1) * BLOCK, offset + length);
        yield { length: end - at, kind: kinds[states[Math.floor(at / BLOCK)] as 0 | 1 | 2] };
        at = end;
      }
    },
  };
}

/** 1 MiB with data in the first 4 KiB, from 256 to 512 KiB, and in the last 4 KiB. */
export function createSparseDisk(): BlockBackend & { readonly bytes: Buffer } {
  const disk = createMemoryDisk(SPARSE_BYTES);
  for (const [at, length] of [
    [0, 4 * 1024],
    [256 * 1024, 256 * 1024],
    [SPARSE_BYTES - 4 * 1024, 4 * 1024],
  ] as const) {
    disk.write(Buffer.alloc(length, "data "), at);
  }
  return { ...disk, sparseReads: true };
}
