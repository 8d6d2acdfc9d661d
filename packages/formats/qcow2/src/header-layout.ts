import { writeUint64 } from "./entry.ts";
import { EXTENSION_FEATURE_NAMES, featureNameTable } from "./features.ts";
import { type Geometry, MAX_BACKING_NAME_BYTES } from "./geometry.ts";
import {
  type DataFileReference,
  EXTENSION_BACKING_FORMAT,
  EXTENSION_DATA_FILE,
  EXTENSION_ENCRYPTION,
  type HeaderExtension,
  MAGIC,
} from "./header.ts";
import type { EncryptionHeaderPlace } from "./luks-header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** A backing reference to be written: both parts are explicit, so that no reader has to guess. */
export interface NewBacking {
  readonly path: string;
  readonly format: "qcow2" | "raw";
}

export interface HeaderLayout {
  readonly version: 2 | 3;
  readonly geometry: Geometry;
  readonly virtualSizeBytes: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly backing: NewBacking | undefined;
  readonly compression: "zlib" | "zstd";
  readonly lazyRefcounts: boolean;
  /** The name of the external data file, as it is stored. */
  readonly dataFile: DataFileReference | undefined;
  /** Where the keys of an encrypted image are. */
  readonly encryption: EncryptionHeaderPlace | undefined;
}

/** What may follow the fixed header: extensions, then the backing name. Offsets count from the start of the file. */
export interface HeaderTail {
  readonly bytes: Buffer;
  readonly nameOffset: number;
  readonly nameLength: number;
}

const HEADER_LENGTH = 112;
const V2_HEADER_LENGTH = 72;

/** Lays out extensions and backing name after a header of `headerLength` bytes. */
export function headerTail(
  headerLength: number,
  extensions: readonly HeaderExtension[],
  backing: NewBacking | undefined,
): HeaderTail {
  const parts: Buffer[] = [];
  const add = (type: number, data: Buffer): void => {
    const part = Buffer.alloc(8 + Math.ceil(data.length / 8) * 8);
    part.writeUInt32BE(type, 0);
    part.writeUInt32BE(data.length, 4);
    data.copy(part, 8);
    parts.push(part);
  };
  if (backing) add(EXTENSION_BACKING_FORMAT, Buffer.from(backing.format));
  for (const extension of extensions) {
    if (extension.type !== EXTENSION_BACKING_FORMAT) add(extension.type, extension.data);
  }
  add(0, Buffer.alloc(0));
  const name = Buffer.from(backing?.path ?? "");
  const before = Buffer.concat(parts);
  return {
    bytes: Buffer.concat([before, name]),
    nameOffset: name.length === 0 ? 0 : headerLength + before.length,
    nameLength: name.length,
  };
}

/**
 * The first bytes of a new image. The table of feature names, a courtesy to readers that lack a feature, is left out where the first cluster
 * has no room for it. Errors: `INVALID_ARGUMENT` when the names do not fit.
 */
export function layoutHeader(layout: HeaderLayout): Buffer {
  const { version, geometry, dataFile, compression } = layout;
  const length = version === 3 ? HEADER_LENGTH : V2_HEADER_LENGTH;
  const names: HeaderExtension = { type: EXTENSION_FEATURE_NAMES, data: featureNameTable() };
  const needed: HeaderExtension[] =
    dataFile?.name === undefined ? [] : [{ type: EXTENSION_DATA_FILE, data: Buffer.from(dataFile.name) }];
  const { encryption } = layout;
  if (encryption) {
    const data = Buffer.alloc(16);
    writeUint64(data, encryption.offset, 0);
    writeUint64(data, encryption.length, 8);
    needed.push({ type: EXTENSION_ENCRYPTION, data });
  }
  let tail = headerTail(length, version === 3 ? [...needed, names] : needed, layout.backing);
  if (length + tail.bytes.length > geometry.clusterSize) tail = headerTail(length, needed, layout.backing);
  if (length + tail.bytes.length > geometry.clusterSize) {
    throw new Qcow2Error("INVALID_ARGUMENT", "the names of backing and data file do not fit in the first cluster");
  }
  const header = Buffer.alloc(length);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt32BE(version, 4);
  writeUint64(header, tail.nameOffset, 8);
  header.writeUInt32BE(tail.nameLength, 16);
  header.writeUInt32BE(geometry.clusterBits, 20);
  writeUint64(header, layout.virtualSizeBytes, 24);
  header.writeUInt32BE(encryption ? 2 : 0, 32);
  header.writeUInt32BE(layout.l1Entries, 36);
  writeUint64(header, layout.l1Offset, 40);
  writeUint64(header, layout.refcountTableOffset, 48);
  header.writeUInt32BE(layout.refcountTableClusters, 56);
  if (version === 3) {
    const incompatible = (dataFile ? 4 : 0) | (compression === "zstd" ? 8 : 0) | (geometry.extendedL2 ? 16 : 0);
    header.writeUInt32BE(incompatible, 76);
    header.writeUInt32BE(layout.lazyRefcounts ? 1 : 0, 84);
    header.writeUInt32BE(dataFile?.raw ? 2 : 0, 92);
    header.writeUInt32BE(Math.log2(geometry.refcountBits), 96);
    header.writeUInt32BE(HEADER_LENGTH, 100);
    header.writeUInt8(compression === "zstd" ? 1 : 0, 104);
  }
  return Buffer.concat([header, tail.bytes]);
}

/** Refuses names that no careful reader would follow. Errors: `INVALID_ARGUMENT`. */
export function assertBackingName(path: string, clusterSize: number): void {
  const bytes = Buffer.byteLength(path);
  if (bytes === 0 || bytes > MAX_BACKING_NAME_BYTES || bytes + HEADER_LENGTH + 64 > clusterSize) {
    throw new Qcow2Error("INVALID_ARGUMENT", `a backing name of ${bytes} bytes does not fit`);
  }
  if (path.includes("\0") || /^[a-z][a-z0-9+.-]*:/i.test(path)) {
    throw new Qcow2Error("INVALID_ARGUMENT", `backing name '${path}' is not a plain path`);
  }
}
