import { entryOffset, readUint64, writeUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { EXTENSION_BITMAPS, type Header, hasFeature } from "./header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** QEMU's caps (block/qcow2.h and block/qcow2-bitmap.c). */
export const MAX_BITMAPS = 65535;
export const MAX_BITMAP_NAME_BYTES = 1023;
export const MIN_GRANULARITY_BITS = 9;
export const MAX_GRANULARITY_BITS = 31;
/** What the bits of one bitmap may take. */
export const MAX_BITMAP_BYTES: number = 512 * 1024 * 1024;
const MAX_DIRECTORY_BYTES: number = 1024 * 65535;

const FLAG_IN_USE = 1;
const FLAG_AUTO = 2;
const FLAG_EXTRA_DATA_COMPATIBLE = 4;
const KNOWN_FLAGS: number = FLAG_IN_USE | FLAG_AUTO | FLAG_EXTRA_DATA_COMPATIBLE;
const FIXED_BYTES = 24;
const FLAGS_AT = 12;
const TYPE_DIRTY_TRACKING = 1;

/** An entry of the bitmap directory (qcow2 specification, "Bitmaps"). */
export interface BitmapEntry {
  readonly name: string;
  readonly tableOffset: number;
  readonly tableEntries: number;
  /** Set by a writer that has not stored the bitmap yet. Found set on opening, that writer never did, and the bits mean nothing. */
  readonly inUse: boolean;
  /** Whether writers must record their writes in it. */
  readonly enabled: boolean;
  readonly granularityBits: number;
  /** Why this engine can only keep the bitmap and not use it, if so. */
  readonly unusable: string | undefined;
  /** The entry as it lies in the file, a multiple of eight bytes. */
  readonly bytes: Buffer;
}

export interface BitmapDirectory {
  readonly offset: number;
  readonly bytes: number;
  readonly entries: readonly BitmapEntry[];
}

/** How many table entries a bitmap has: one for each cluster of bits. */
export function bitmapTableEntries(virtualSizeBytes: number, granularityBits: number, clusterSize: number): number {
  return Math.ceil(Math.ceil(virtualSizeBytes / 2 ** granularityBits) / 8 / clusterSize);
}

/**
 * The bitmap directory, bounded; `undefined` when the image has no bitmaps that mean anything: without the autoclear bit a writer that knows
 * none was here. Errors: `CORRUPT`.
 */
export function readBitmapDirectory(file: ImageFile, header: Header): BitmapDirectory | undefined {
  const extension = header.extensions.find((candidate) => candidate.type === EXTENSION_BITMAPS)?.data;
  if (extension === undefined || !hasFeature(header, "autoclear", 0)) return undefined;
  const corrupt = (what: string): Qcow2Error =>
    new Qcow2Error("CORRUPT", `'${file.path}': the bitmap directory ${what}`);
  if (extension.length < FIXED_BYTES) throw corrupt("is not described");
  const count = extension.readUInt32BE(0);
  const bytes = readUint64(extension, 8);
  const offset = readUint64(extension, 16);
  if (count === 0 || count > MAX_BITMAPS) throw corrupt(`claims ${count} bitmaps`);
  if (bytes === undefined || offset === undefined || bytes > MAX_DIRECTORY_BYTES || bytes < count * FIXED_BYTES) {
    throw corrupt("has an impossible size");
  }
  const { clusterSize } = header.geometry;
  if (offset === 0 || offset % clusterSize !== 0) throw corrupt("is not cluster-aligned");
  const fileSize = file.status().sizeBytes;
  if (offset + bytes > fileSize) throw corrupt("lies outside the file");
  const directory = Buffer.alloc(bytes);
  file.readSync(directory, offset);
  const entries: BitmapEntry[] = [];
  let at = 0;
  for (; entries.length < count; ) {
    if (at + FIXED_BYTES > bytes) throw corrupt("ends inside an entry");
    const nameLength = directory.readUInt16BE(at + 18);
    const extraLength = directory.readUInt32BE(at + 20);
    const size = Math.ceil((FIXED_BYTES + nameLength + extraLength) / 8) * 8;
    if (at + size > bytes || nameLength > MAX_BITMAP_NAME_BYTES) throw corrupt("has an entry of impossible length");
    const entry = decode(Buffer.from(directory.subarray(at, at + size)), header);
    if (entry === undefined || entry.tableOffset + entry.tableEntries * 8 > fileSize) {
      throw corrupt(`has an impossible entry ${entries.length}`);
    }
    entries.push(entry);
    at += size;
  }
  if (at !== bytes) throw corrupt("has bytes after its last entry");
  return { offset, bytes, entries };
}

function decode(bytes: Buffer, header: Header): BitmapEntry | undefined {
  const { clusterSize } = header.geometry;
  const tableOffset = readUint64(bytes, 0);
  const tableEntries = bytes.readUInt32BE(8);
  const flags = bytes.readUInt32BE(FLAGS_AT);
  const type = bytes.readUInt8(16);
  const granularityBits = bytes.readUInt8(17);
  const nameLength = bytes.readUInt16BE(18);
  const extraLength = bytes.readUInt32BE(20);
  if (tableOffset === undefined || tableOffset === 0 || tableOffset % clusterSize !== 0) return undefined;
  if (tableEntries === 0 || tableEntries * clusterSize > MAX_BITMAP_BYTES || (flags & ~KNOWN_FLAGS) !== 0)
    return undefined;
  const inUse = (flags & FLAG_IN_USE) !== 0;
  let unusable: string | undefined;
  if (type !== TYPE_DIRTY_TRACKING) unusable = `its type is ${type}`;
  else if (granularityBits < MIN_GRANULARITY_BITS || granularityBits > MAX_GRANULARITY_BITS) {
    unusable = `its granularity is 2^${granularityBits}`;
  } else if (extraLength > 0) unusable = "it has extra data";
  else if (!inUse && tableEntries !== bitmapTableEntries(header.virtualSizeBytes, granularityBits, clusterSize)) {
    unusable = "its table does not fit the disk";
  }
  return {
    name: bytes.toString("utf8", FIXED_BYTES + extraLength, FIXED_BYTES + extraLength + nameLength),
    tableOffset,
    tableEntries,
    inUse,
    enabled: (flags & FLAG_AUTO) !== 0,
    granularityBits,
    unusable,
    bytes,
  };
}

export interface NewBitmapEntry {
  readonly name: string;
  readonly tableOffset: number;
  readonly tableEntries: number;
  readonly inUse: boolean;
  readonly enabled: boolean;
  readonly granularityBits: number;
}

export function encodeBitmapEntry(entry: NewBitmapEntry): Buffer {
  const name = Buffer.from(entry.name);
  const bytes = Buffer.alloc(Math.ceil((FIXED_BYTES + name.length) / 8) * 8);
  writeUint64(bytes, entry.tableOffset, 0);
  bytes.writeUInt32BE(entry.tableEntries, 8);
  bytes.writeUInt32BE((entry.inUse ? FLAG_IN_USE : 0) | (entry.enabled ? FLAG_AUTO : 0), FLAGS_AT);
  bytes.writeUInt8(TYPE_DIRTY_TRACKING, 16);
  bytes.writeUInt8(entry.granularityBits, 17);
  bytes.writeUInt16BE(name.length, 18);
  name.copy(bytes, FIXED_BYTES);
  return bytes;
}

/** The same entry with the "in use" flag set: four bytes change, so a torn write leaves the old flag or the new one. */
export function withInUse(entry: BitmapEntry): Buffer {
  const bytes = Buffer.from(entry.bytes);
  bytes.writeUInt32BE((bytes.readUInt32BE(FLAGS_AT) | FLAG_IN_USE) >>> 0, FLAGS_AT);
  return bytes;
}

/** The header extension that describes a directory. */
export function encodeBitmapExtension(directory: { offset: number; bytes: number; count: number }): Buffer {
  const data = Buffer.alloc(24);
  data.writeUInt32BE(directory.count, 0);
  writeUint64(data, directory.bytes, 8);
  writeUint64(data, directory.offset, 16);
  return data;
}

/** The table of a bitmap; an entry is the offset of a cluster of bits, or 0 for clean, or 1 for all dirty. Errors: `CORRUPT`. */
export function readBitmapTable(file: ImageFile, header: Header, entry: BitmapEntry): Float64Array {
  const table = Buffer.alloc(entry.tableEntries * 8);
  file.readSync(table, entry.tableOffset);
  const offsets = new Float64Array(entry.tableEntries);
  const fileSize = file.status().sizeBytes;
  for (let index = 0; index < offsets.length; index++) {
    const offset = entryOffset(table, index * 8);
    const low = table.readUInt32BE(index * 8 + 4) & 0x1ff;
    const valid =
      offset !== undefined &&
      offset % header.geometry.clusterSize === 0 &&
      offset < fileSize &&
      (table.readUInt32BE(index * 8) & 0xff00_0000) === 0 &&
      (offset === 0 ? low <= 1 : low === 0);
    if (!valid)
      throw new Qcow2Error("CORRUPT", `'${file.path}': entry ${index} of bitmap '${entry.name}' is not valid`);
    offsets[index] = offset === 0 ? low : offset;
  }
  return offsets;
}
