import { VmdkError } from "./vmdk-error.ts";

/** The unit in which a VMDK counts, in bytes. */
export const SECTOR = 512;

/** In the header of a stream: the grain directory's place is told by the footer. */
export const DIRECTORY_AT_END = -1;

/** `SparseExtentHeader` of "Virtual Disk Format 5.0", section "Hosted Sparse Extents". Sizes and places are in sectors. */
export interface SparseHeader {
  readonly version: number;
  readonly capacity: number;
  readonly grainSize: number;
  readonly descriptorOffset: number;
  readonly descriptorSize: number;
  readonly entriesPerTable: number;
  /** {@link DIRECTORY_AT_END}, or a sector. */
  readonly directoryOffset: number;
  readonly overhead: number;
  /** Grains are compressed (deflate). */
  readonly compressed: boolean;
  /** Grains and tables are preceded by markers. */
  readonly markers: boolean;
}

const MAGIC = 0x564d444b; // "KDMV", little endian
const FLAG_NEWLINE_TEST = 1;
const FLAG_COMPRESSED = 1 << 16;
const FLAG_MARKERS = 1 << 17;
const COMPRESSION_DEFLATE = 1;
/** Largest grain that is read: its buffer is allocated whole. QEMU's limit. */
const MAX_GRAIN_SECTORS = (64 * 1024 * 1024) / SECTOR;
/** The largest grain directory that is read, in entries: 8 TiB at 64 KiB grains and 512 entries a table need 256 Ki. */
const MAX_DIRECTORY_ENTRIES = 8 * 1024 * 1024;

function sectors(header: Buffer, at: number, what: string): number {
  const value = header.readBigUInt64LE(at);
  if (value > BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR)))
    throw new VmdkError("HEADER_INVALID", `${what} is too large: ${value} sectors`);
  return Number(value);
}

/** Reads a header, of the file's start or of its footer. Errors: `NOT_VMDK`, `UNSUPPORTED_*`, `HEADER_INVALID`. */
export function parseSparseHeader(header: Buffer, path: string): SparseHeader {
  if (header.length < SECTOR || header.readUInt32LE(0) !== MAGIC) {
    throw new VmdkError("NOT_VMDK", `'${path}' is no sparse VMDK: its header does not begin with KDMV`);
  }
  const version = header.readUInt32LE(4);
  if (version < 1 || version > 3) throw new VmdkError("UNSUPPORTED_VERSION", `'${path}' is of VMDK version ${version}`);
  const flags = header.readUInt32LE(8);
  const newline = header.subarray(73, 77);
  if ((flags & FLAG_NEWLINE_TEST) !== 0 && newline.toString("latin1") !== "\n \r\n") {
    throw new VmdkError("HEADER_INVALID", `'${path}' was changed by a transfer in text mode`);
  }
  const compressed = (flags & FLAG_COMPRESSED) !== 0;
  const algorithm = header.readUInt16LE(77);
  if (compressed && algorithm !== COMPRESSION_DEFLATE) {
    throw new VmdkError(
      "UNSUPPORTED_FEATURE",
      `'${path}' is compressed by algorithm ${algorithm}; deflate (1) is known`,
    );
  }
  const directory = header.readBigUInt64LE(56);
  const parsed: SparseHeader = {
    version,
    capacity: sectors(header, 12, "the capacity"),
    grainSize: sectors(header, 20, "the grain size"),
    descriptorOffset: sectors(header, 28, "the descriptor's place"),
    descriptorSize: sectors(header, 36, "the descriptor"),
    entriesPerTable: header.readUInt32LE(44),
    directoryOffset:
      directory === 0xffffffffffffffffn ? DIRECTORY_AT_END : sectors(header, 56, "the grain directory's place"),
    overhead: sectors(header, 64, "the overhead"),
    compressed,
    markers: (flags & FLAG_MARKERS) !== 0,
  };
  assertSane(parsed, path);
  return parsed;
}

function assertSane(header: SparseHeader, path: string): void {
  const { grainSize, entriesPerTable, capacity } = header;
  const refuse = (why: string): VmdkError => new VmdkError("HEADER_INVALID", `'${path}': ${why}`);
  if (grainSize < 8 || grainSize > MAX_GRAIN_SECTORS || (grainSize & (grainSize - 1)) !== 0) {
    throw refuse(`a grain of ${grainSize} sectors is not a power of two from 8 to ${MAX_GRAIN_SECTORS}`);
  }
  if (entriesPerTable < 1 || entriesPerTable > 512) throw refuse(`a grain table of ${entriesPerTable} entries`);
  if (directoryEntries(header) > MAX_DIRECTORY_ENTRIES) {
    throw new VmdkError("TOO_LARGE", `'${path}': a disk of ${capacity} sectors needs too large a grain directory`);
  }
}

/** How many grain tables a disk has. */
export function directoryEntries(header: Pick<SparseHeader, "capacity" | "grainSize" | "entriesPerTable">): number {
  return Math.ceil(header.capacity / (header.grainSize * header.entriesPerTable));
}

/** Makes a header of one sector. */
export function encodeSparseHeader(header: SparseHeader): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(header.version, 4);
  const flags = FLAG_NEWLINE_TEST | (header.compressed ? FLAG_COMPRESSED : 0) | (header.markers ? FLAG_MARKERS : 0);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeBigUInt64LE(BigInt(header.capacity), 12);
  bytes.writeBigUInt64LE(BigInt(header.grainSize), 20);
  bytes.writeBigUInt64LE(BigInt(header.descriptorOffset), 28);
  bytes.writeBigUInt64LE(BigInt(header.descriptorSize), 36);
  bytes.writeUInt32LE(header.entriesPerTable, 44);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(header.directoryOffset)), 56);
  bytes.writeBigUInt64LE(BigInt(header.overhead), 64);
  bytes.write("\n \r\n", 73, "latin1");
  bytes.writeUInt16LE(header.compressed ? COMPRESSION_DEFLATE : 0, 77);
  return bytes;
}
