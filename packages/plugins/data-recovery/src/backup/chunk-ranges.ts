import { VdcError } from "@vdc-os/core";

/** A run of chunks, the end not included. `zero` chunks need not be read. */
export interface ChunkRange {
  readonly first: number;
  readonly end: number;
  readonly zero: boolean;
}

/** A run of bytes to read. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** Options of {@link chunkRanges}. */
export interface ChunkRangesOptions {
  readonly chunkBytes: number;
  readonly chunkCount: number;
  /** Chunks before this one are left out. */
  readonly from: number;
}

/**
 * The chunks that byte ranges touch, each once and in order. The ranges come in order of offset, as the storage contract says; a provider whose do not
 * fails with `INTERNAL`.
 */
export async function* chunkRanges(
  ranges: AsyncIterable<ByteRange>,
  options: ChunkRangesOptions,
): AsyncGenerator<ChunkRange> {
  const { chunkBytes, chunkCount, from } = options;
  let pending: { first: number; end: number } | undefined;
  let lastOffset = 0;
  for await (const { offset, length } of ranges) {
    if (offset < lastOffset) {
      throw new VdcError("INTERNAL", `a storage provider tells of offset ${offset} after ${lastOffset}`);
    }
    lastOffset = offset;
    const end = Math.min(Math.ceil((offset + length) / chunkBytes), chunkCount);
    const first = Math.max(Math.floor(offset / chunkBytes), pending?.first ?? from, from);
    if (length === 0 || end <= first) continue;
    if (pending !== undefined && first <= pending.end) {
      pending.end = Math.max(pending.end, end);
      continue;
    }
    if (pending !== undefined) yield { ...pending, zero: false };
    pending = { first, end };
  }
  if (pending !== undefined) yield { ...pending, zero: false };
}

/** Both of two orders of ranges, in one order. */
export async function* inOrder(a: AsyncIterable<ByteRange>, b: AsyncIterable<ByteRange>): AsyncGenerator<ByteRange> {
  const left = a[Symbol.asyncIterator]();
  const right = b[Symbol.asyncIterator]();
  try {
    let [l, r] = [await left.next(), await right.next()];
    while (l.done !== true || r.done !== true) {
      if (r.done === true || (l.done !== true && l.value.offset <= r.value.offset)) {
        if (l.done !== true) yield l.value;
        l = await left.next();
      } else {
        yield r.value;
        r = await right.next();
      }
    }
  } finally {
    await left.return?.();
    await right.return?.();
  }
}

/** The whole of a disk. */
export async function* wholeDisk(sizeBytes: number): AsyncGenerator<ByteRange> {
  yield { offset: 0, length: sizeBytes };
}
