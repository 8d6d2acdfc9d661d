import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { deflate } from "node:zlib";
import type { DiskSource } from "./disk-source.ts";
import { type AdapterType, formatDescriptor } from "./descriptor.ts";
import { DIRECTORY_AT_END, directoryEntries, encodeSparseHeader, SECTOR, type SparseHeader } from "./sparse-header.ts";
import { VmdkError } from "./vmdk-error.ts";

/** Options of {@link streamOptimized}. */
export interface StreamOptimizedOptions {
  /** Defaults to `lsilogic`. */
  readonly adapterType?: AdapterType;
  /** The name that the descriptor gives the file. Defaults to `disk.vmdk`. */
  readonly fileName?: string;
  /** Of deflate, 1 (fast) to 9 (small). Defaults to 6. */
  readonly compressionLevel?: number;
  readonly signal?: AbortSignal;
  /** Called as the source is gone through. */
  readonly onProgress?: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void;
}

const GRAIN_SECTORS = 128;
const GRAIN = GRAIN_SECTORS * SECTOR;
const ENTRIES = 512;
const DESCRIPTOR_SECTORS = 20;
const OVERHEAD_SECTORS = 128;
/** Grains that are compressed at once, on the thread pool. */
const WINDOW = 16;
/** A grain's place has 32 bits, in sectors. */
const MAX_FILE_SECTORS = 2 ** 32 - 1;

const MARKER_END_OF_STREAM = 0;
const MARKER_TABLE = 1;
const MARKER_DIRECTORY = 2;
const MARKER_FOOTER = 3;

const compress = promisify<Buffer, { readonly level: number }, Buffer>(deflate);

/**
 * A disk as a stream-optimized VMDK ("Virtual Disk Format 5.0", section "Stream-Optimized Compressed Sparse Extents"), front to back, as VMware's products
 * import it: header version 3, 64 KiB grains, markers, footer. What the source has as holes or zeroes is left out; memory does not grow with the disk. The
 * size is rounded up to whole sectors. Errors: `ABORTED`, `TOO_LARGE`, and what the source throws.
 */
export async function* streamOptimized(
  source: DiskSource,
  options: StreamOptimizedOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const { adapterType = "lsilogic", fileName = "disk.vmdk", compressionLevel = 6 } = options;
  const capacity = Math.ceil(source.sizeBytes / SECTOR);
  const header: SparseHeader = {
    version: 3,
    capacity,
    grainSize: GRAIN_SECTORS,
    descriptorOffset: 1,
    descriptorSize: DESCRIPTOR_SECTORS,
    entriesPerTable: ENTRIES,
    directoryOffset: DIRECTORY_AT_END,
    overhead: OVERHEAD_SECTORS,
    compressed: true,
    markers: true,
  };
  const start = Buffer.alloc(OVERHEAD_SECTORS * SECTOR);
  start.set(encodeSparseHeader(header));
  const contentId = randomBytes(4).toString("hex");
  const text = Buffer.from(formatDescriptor({ capacity, adapterType, fileName, contentId }));
  if (text.length > DESCRIPTOR_SECTORS * SECTOR) {
    throw new VmdkError("INVALID_ARGUMENT", `the file name is too long: the descriptor has ${text.length} bytes`);
  }
  start.set(text, SECTOR);
  yield start;

  let sector = OVERHEAD_SECTORS;
  const directory = new Uint32Array(directoryEntries(header));
  let table: Uint32Array | undefined;
  let tableIndex = 0;
  const finishTable = (): Buffer | undefined => {
    if (table === undefined) return undefined;
    const written = withMarker(MARKER_TABLE, Buffer.from(table.buffer));
    directory[tableIndex] = sector + 1;
    sector += written.length / SECTOR;
    table = undefined;
    return written;
  };
  for await (const { grain, marked } of compressedGrains(source, compressionLevel, options)) {
    const index = Math.floor(grain / ENTRIES);
    if (index !== tableIndex || table === undefined) {
      const finished = finishTable();
      if (finished !== undefined) yield finished;
      tableIndex = index;
      table = new Uint32Array(ENTRIES);
    }
    table[grain % ENTRIES] = sector;
    sector += marked.length / SECTOR;
    if (sector > MAX_FILE_SECTORS) throw new VmdkError("TOO_LARGE", "a VMDK file can't be larger than 2 TiB");
    yield marked;
  }
  const finished = finishTable();
  if (finished !== undefined) yield finished;

  const directoryBytes = Buffer.alloc(Math.ceil((directory.length * 4) / SECTOR) * SECTOR);
  directoryBytes.set(Buffer.from(directory.buffer));
  yield withMarker(MARKER_DIRECTORY, directoryBytes);
  yield withMarker(MARKER_FOOTER, encodeSparseHeader({ ...header, directoryOffset: sector + 1 }));
  yield marker(MARKER_END_OF_STREAM, 0);
}

/** A metadata marker: how many sectors follow, no data of its own, and what follows. */
function marker(type: number, sectors: number): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  bytes.writeBigUInt64LE(BigInt(sectors), 0);
  bytes.writeUInt32LE(type, 12);
  return bytes;
}

function withMarker(type: number, content: Buffer): Buffer {
  return Buffer.concat([marker(type, content.length / SECTOR), content]);
}

interface MarkedGrain {
  readonly grain: number;
  /** The grain marker with the compressed data, in whole sectors. */
  readonly marked: Buffer;
}

/** The grains that hold something, in order; some of them are compressed ahead. */
async function* compressedGrains(
  source: DiskSource,
  level: number,
  options: StreamOptimizedOptions,
): AsyncGenerator<MarkedGrain, void, undefined> {
  const ahead: Promise<MarkedGrain>[] = [];
  try {
    for await (const { grain, data } of dataGrains(source, options)) {
      ahead.push(markGrain(grain, data, level));
      if (ahead.length >= WINDOW) yield await (ahead.shift() as Promise<MarkedGrain>);
    }
    while (ahead.length > 0) yield await (ahead.shift() as Promise<MarkedGrain>);
  } finally {
    await Promise.allSettled(ahead);
  }
}

async function markGrain(grain: number, data: Buffer, level: number): Promise<MarkedGrain> {
  const packed = await compress(data, { level });
  const marked = Buffer.alloc(Math.ceil((12 + packed.length) / SECTOR) * SECTOR);
  marked.writeBigUInt64LE(BigInt(grain * GRAIN_SECTORS), 0);
  marked.writeUInt32LE(packed.length, 8);
  marked.set(packed, 12);
  return { grain, marked };
}

/** How much of a source's map is asked for at once, in grains. */
const MAP_WINDOW = 16_384;

async function* dataGrains(
  source: DiskSource,
  { signal, onProgress }: StreamOptimizedOptions,
): AsyncGenerator<{ readonly grain: number; readonly data: Buffer }, void, undefined> {
  const totalBytes = source.sizeBytes;
  let next = 0;
  for (let at = 0; at < totalBytes; at += MAP_WINDOW * GRAIN) {
    for (const extent of source.map(at, Math.min(MAP_WINDOW * GRAIN, totalBytes - at))) {
      if (extent.kind !== "data") continue;
      const last = Math.floor((extent.offset + extent.length - 1) / GRAIN);
      // Two extents can share a grain: it is read whole, once.
      for (let grain = Math.max(next, Math.floor(extent.offset / GRAIN)); grain <= last; grain++) {
        if (signal?.aborted) throw new VmdkError("ABORTED", "writing a VMDK was cancelled", { cause: signal.reason });
        const data = Buffer.alloc(GRAIN);
        await source.read(data.subarray(0, Math.min(GRAIN, totalBytes - grain * GRAIN)), grain * GRAIN);
        next = grain + 1;
        if (!data.equals(ZERO_GRAIN)) yield { grain, data };
        onProgress?.({ doneBytes: Math.min(totalBytes, next * GRAIN), totalBytes });
      }
    }
  }
  onProgress?.({ doneBytes: totalBytes, totalBytes });
}

const ZERO_GRAIN: Buffer = Buffer.alloc(GRAIN);
