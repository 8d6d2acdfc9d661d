import { type BlobHash, hashOf, isZero, zeroHash } from "../repository/blob.ts";
import type { BlobWriter } from "../repository/blob-writer.ts";
import type { BlockDevice } from "../source/block-device.ts";
import type { TreeWriter } from "../tree/tree-writer.ts";
import { type ChunkRange, chunkRanges } from "./chunk-ranges.ts";

/** What a copy has done so far, in bytes. */
export interface CopyCounters {
  readBytes: number;
  newBytes: number;
  storedBytes: number;
}

/** Options of {@link copyDisk}. */
export interface CopyDiskOptions {
  readonly device: BlockDevice;
  /** The disk's size: a device may be a little larger. */
  readonly sizeBytes: number;
  /** What to read, in order. */
  readonly ranges: AsyncIterable<ChunkRange>;
  readonly tree: TreeWriter;
  readonly writer: BlobWriter;
  readonly chunkBytes: number;
  readonly counters: CopyCounters;
  readonly signal: AbortSignal;
  /** After how many stored bytes the writer is flushed. */
  readonly flushBytes: number;
  /** Called after each flush: all before chunk `next` is durable, and the tree says so. */
  readonly onFlushed: (next: number) => Promise<void>;
  readonly onProgress: () => void;
}

/** How much is read at once, and how many reads are under way together. */
const readBytes = 1024 * 1024;
const readsAhead = 6;
/** An index takes its pending blobs from memory: no more than this many. */
const maxUnflushedBlobs = 32_768;

interface Batch {
  readonly first: number;
  readonly count: number;
  /** Absent for zeroes. */
  readonly content: Promise<Buffer> | undefined;
  readonly diskBytes: number;
}

/** Reads ranges of a disk, stores what is new, and sets the chunks in the tree. Memory does not grow with the disk. */
export async function copyDisk(options: CopyDiskOptions): Promise<void> {
  const { tree, writer, chunkBytes, counters, signal } = options;
  for await (const batch of readAhead(options)) {
    signal.throwIfAborted();
    if (batch.content === undefined) {
      for (let i = 0; i < batch.count; i++) await tree.set(batch.first + i, zeroHash);
    } else {
      const content = await batch.content;
      const chunks = Array.from({ length: batch.count }, (_, i) =>
        content.subarray(i * chunkBytes, (i + 1) * chunkBytes),
      );
      const hashes = await Promise.all(chunks.map((chunk) => storeChunk(writer, chunk, counters)));
      for (const [i, hash] of hashes.entries()) await tree.set(batch.first + i, hash);
      counters.readBytes += batch.diskBytes;
    }
    if (writer.unflushedBytes >= options.flushBytes || writer.unflushedBlobs >= maxUnflushedBlobs) {
      await writer.flush();
      await options.onFlushed(batch.first + batch.count);
    }
    options.onProgress();
  }
}

async function storeChunk(writer: BlobWriter, chunk: Buffer, counters: CopyCounters): Promise<BlobHash> {
  if (isZero(chunk)) return zeroHash;
  const { hash, storedBytes } = await writer.put("chunk", chunk, hashOf(chunk));
  if (storedBytes > 0) {
    counters.newBytes += chunk.length;
    counters.storedBytes += storedBytes;
  }
  return hash;
}

async function* readAhead(options: CopyDiskOptions): AsyncGenerator<Batch> {
  const pending: Batch[] = [];
  try {
    for await (const range of options.ranges) {
      for (const batch of batchesOf(options, range)) {
        pending.push(batch);
        if (pending.length >= readsAhead) yield pending.shift() as Batch;
      }
    }
    for (let batch = pending.shift(); batch !== undefined; batch = pending.shift()) yield batch;
  } finally {
    // The device is closed next: nothing may be under way then.
    await Promise.allSettled(pending.map(({ content }) => content));
  }
}

function* batchesOf({ device, sizeBytes, chunkBytes, signal }: CopyDiskOptions, range: ChunkRange): Generator<Batch> {
  const most = range.zero ? Number.MAX_SAFE_INTEGER : Math.max(1, readBytes / chunkBytes);
  for (let first = range.first; first < range.end; first += most) {
    const count = Math.min(most, range.end - first);
    const offset = first * chunkBytes;
    const diskBytes = Math.min(count * chunkBytes, sizeBytes - offset);
    if (range.zero) {
      yield { first, count, content: undefined, diskBytes };
      return;
    }
    const content = readChunks(device, { offset, length: count * chunkBytes, diskBytes }, signal);
    // It is awaited when its turn comes; until then nobody listens.
    content.catch(() => {});
    yield { first, count, content, diskBytes };
  }
}

async function readChunks(
  device: BlockDevice,
  range: { readonly offset: number; readonly length: number; readonly diskBytes: number },
  signal: AbortSignal,
): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(range.length).fill(0, range.diskBytes);
  await device.read(buffer.subarray(0, range.diskBytes), range.offset, signal);
  return buffer;
}

/** Tells which chunks of ranges are certainly zero, where the device can tell: they are not read. */
export async function* splitZeroes(
  ranges: AsyncIterable<ChunkRange>,
  { device, sizeBytes, chunkBytes, signal }: Pick<CopyDiskOptions, "device" | "sizeBytes" | "chunkBytes" | "signal">,
): AsyncGenerator<ChunkRange> {
  for await (const range of ranges) {
    // To ask about a short range takes as long as to read it.
    const isShort = (range.end - range.first) * chunkBytes <= readBytes;
    if (device.zeroExtents === undefined || range.zero || isShort) {
      yield range;
      continue;
    }
    const offset = range.first * chunkBytes;
    const length = Math.min(range.end * chunkBytes, sizeBytes) - offset;
    const data = dataOf(device.zeroExtents(offset, length, signal));
    let at = range.first;
    for await (const found of chunkRanges(data, { chunkBytes, chunkCount: range.end, from: range.first })) {
      if (found.first > at) yield { first: at, end: found.first, zero: true };
      yield found;
      at = found.end;
    }
    if (at < range.end) yield { first: at, end: range.end, zero: true };
  }
}

async function* dataOf(
  extents: AsyncIterable<{ readonly offset: number; readonly length: number; readonly zero: boolean }>,
): AsyncGenerator<{ readonly offset: number; readonly length: number }> {
  for await (const extent of extents) if (!extent.zero) yield extent;
}
