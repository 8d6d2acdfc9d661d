import { entryOffset, readUint64 } from "./entry.ts";
import { type HeaderFeature, readFeatures } from "./features.ts";
import type { ImageFile } from "./file-layer.ts";
import {
  type Geometry,
  geometryOf,
  MAX_BACKING_NAME_BYTES,
  MAX_CLUSTER_BITS,
  MAX_L1_BYTES,
  MAX_REFCOUNT_TABLE_BYTES,
  MAX_SNAPSHOTS,
  MIN_EXTENDED_CLUSTER_BITS,
  MIN_CLUSTER_BITS,
} from "./geometry.ts";
import type { EncryptionHeaderPlace } from "./luks-header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** A header extension, kept byte for byte. */
export interface HeaderExtension {
  readonly type: number;
  readonly data: Buffer;
}

/** The image below this one, as its header names it. It is a claim by whoever wrote the file: resolve it, never trust it. */
export interface BackingReference {
  readonly path: string;
  /** `undefined` when the header does not say; the format is then never guessed. */
  readonly format: string | undefined;
}

/** The file that holds an image's guest data, as its header names it. A claim, as a backing reference is. */
export interface DataFileReference {
  /** `undefined` when the header does not say. */
  readonly name: string | undefined;
  /** Whether the file must stay readable as a raw disk by itself. */
  readonly raw: boolean;
}

/** A header whose every field has been held against the format's limits and the size of its file. */
export interface Header {
  readonly version: 2 | 3;
  readonly geometry: Geometry;
  readonly virtualSizeBytes: number;
  readonly encryption: "none" | "aes" | "luks";
  /** Where the keys of an image that is encrypted with LUKS are; `undefined` when it does not say, so that nothing opens it. */
  readonly encryptionHeader: EncryptionHeaderPlace | undefined;
  readonly backing: BackingReference | undefined;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly refcountOrder: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly features: readonly HeaderFeature[];
  readonly headerLength: number;
  readonly extensions: readonly HeaderExtension[];
  readonly compression: "zlib" | "zstd";
  readonly dataFile: DataFileReference | undefined;
}

export const EXTENSION_BACKING_FORMAT = 0xe279_2aca;
export const EXTENSION_BITMAPS = 0x2385_2875;
export const EXTENSION_ENCRYPTION = 0x0537_be77;
export const EXTENSION_DATA_FILE = 0x4441_5441;

export const MAGIC = 0x5146_49fb;
const V2_LENGTH = 72;
const V3_MIN_LENGTH = 104;

export function hasFeature(header: Header, kind: HeaderFeature["kind"], bit: number): boolean {
  return header.features.some((feature) => feature.kind === kind && feature.bit === bit);
}

function invalid(path: string, what: string): Qcow2Error {
  return new Qcow2Error("HEADER_INVALID", `'${path}': ${what}`);
}

/**
 * Reads and bounds the header of a file.
 *
 * Allocates at most two clusters of memory whatever the file says.
 * Errors: `NOT_QCOW2`, `ENCRYPTED` (a LUKS container), `UNSUPPORTED_VERSION`, `HEADER_INVALID`.
 */
export function readHeader(file: ImageFile): Header {
  const { path } = file;
  const fileSize = file.status().sizeBytes;
  const fixed = Buffer.alloc(112);
  const available = file.readSync(fixed, 0);
  if (fixed.toString("latin1", 0, 4) === "LUKS") {
    throw new Qcow2Error("ENCRYPTED", `'${path}' is a LUKS container, which is not supported`);
  }
  if (available < V2_LENGTH || fixed.readUInt32BE(0) !== MAGIC) {
    throw new Qcow2Error("NOT_QCOW2", `'${path}' is not a qcow2 image`);
  }
  const version = fixed.readUInt32BE(4);
  if (version !== 2 && version !== 3) {
    throw new Qcow2Error("UNSUPPORTED_VERSION", `'${path}' is qcow version ${version}; versions 2 and 3 are supported`);
  }
  if (version === 3 && available < V3_MIN_LENGTH) throw invalid(path, "the file ends inside its header");
  const number64 = (at: number, what: string): number => {
    const value = readUint64(fixed, at);
    if (value === undefined) throw invalid(path, `${what} exceeds 2^53-1`);
    return value;
  };

  const clusterBits = fixed.readUInt32BE(20);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    throw invalid(path, `cluster_bits ${clusterBits} is not between ${MIN_CLUSTER_BITS} and ${MAX_CLUSTER_BITS}`);
  }
  const refcountOrder = version === 3 ? fixed.readUInt32BE(96) : 4;
  if (refcountOrder > 6) throw invalid(path, `refcount_order ${refcountOrder} exceeds 6`);
  const extendedL2 = version === 3 && (fixed.readUInt32BE(76) & 16) !== 0;
  if (extendedL2 && clusterBits < MIN_EXTENDED_CLUSTER_BITS) {
    throw invalid(path, `extended L2 entries need clusters of 16 KiB at least, and cluster_bits is ${clusterBits}`);
  }
  const geometry = geometryOf(clusterBits, refcountOrder, extendedL2);
  const { clusterSize } = geometry;

  const headerLength = version === 3 ? fixed.readUInt32BE(100) : V2_LENGTH;
  if (headerLength % 8 !== 0 || headerLength > clusterSize || (version === 3 && headerLength < V3_MIN_LENGTH)) {
    throw invalid(path, `header length ${headerLength} is not possible`);
  }
  const crypt = fixed.readUInt32BE(32);
  if (crypt > 2) throw invalid(path, `encryption method ${crypt} is unknown`);

  const virtualSizeBytes = number64(24, "the virtual size");
  const table = (at: number, bytes: number, what: string): number => {
    const offset = number64(at, `the offset of the ${what}`);
    if (offset % clusterSize !== 0) throw invalid(path, `the ${what} at ${offset} is not cluster-aligned`);
    if (offset < clusterSize) throw invalid(path, `the ${what} at ${offset} overlaps the header`);
    if (offset + bytes > fileSize) throw invalid(path, `the ${what} at ${offset} lies outside the file`);
    return offset;
  };
  const l1Entries = fixed.readUInt32BE(36);
  if (l1Entries * 8 > MAX_L1_BYTES) throw invalid(path, `an L1 table of ${l1Entries} entries is too large`);
  if (l1Entries < Math.ceil(virtualSizeBytes / geometry.l2Coverage)) {
    throw invalid(path, `an L1 table of ${l1Entries} entries is too small for ${virtualSizeBytes} bytes`);
  }
  const l1Offset = l1Entries === 0 ? 0 : table(40, l1Entries * 8, "L1 table");
  const refcountTableClusters = fixed.readUInt32BE(56);
  if (refcountTableClusters === 0 || refcountTableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES) {
    throw invalid(path, `a refcount table of ${refcountTableClusters} clusters is not possible`);
  }
  const refcountTableOffset = table(48, refcountTableClusters * clusterSize, "refcount table");
  const snapshotCount = fixed.readUInt32BE(60);
  if (snapshotCount > MAX_SNAPSHOTS) throw invalid(path, `${snapshotCount} snapshots are more than ${MAX_SNAPSHOTS}`);
  // A snapshot's fixed part has 40 bytes.
  const snapshotsOffset = snapshotCount === 0 ? 0 : table(64, snapshotCount * 40, "snapshot table");

  const cluster = Buffer.alloc(Math.min(clusterSize, fileSize));
  file.readSync(cluster, 0);
  const compressionByte = version === 3 && headerLength > 104 && cluster.length > 104 ? cluster.readUInt8(104) : 0;
  if (compressionByte > 1) {
    throw new Qcow2Error("UNSUPPORTED_FEATURE", `'${path}' uses the unknown compression type ${compressionByte}`);
  }
  const { name, nameOffset } = readBackingName(cluster, path);
  const extensions = readExtensions(cluster, headerLength, nameOffset ?? cluster.length, path);
  const format = extensions.find((extension) => extension.type === EXTENSION_BACKING_FORMAT)?.data.toString("utf8");
  const features = version === 3 ? readFeatures(cluster, extensions) : [];
  if (compressionByte !== 0 && !features.some(({ kind, bit }) => kind === "incompatible" && bit === 3)) {
    throw invalid(path, "a compression type is set, but its feature bit is not");
  }
  return {
    version,
    geometry,
    virtualSizeBytes,
    encryption: crypt === 0 ? "none" : crypt === 1 ? "aes" : "luks",
    encryptionHeader: crypt === 2 ? readEncryptionPlace(extensions, { path, clusterSize, fileSize }) : undefined,
    backing: name === undefined ? undefined : { path: name, format },
    l1Entries,
    l1Offset,
    refcountTableOffset,
    refcountTableClusters,
    refcountOrder,
    snapshotCount,
    snapshotsOffset,
    features,
    headerLength,
    extensions,
    compression: compressionByte === 1 ? "zstd" : "zlib",
    dataFile: readDataFile(features, extensions, path),
  };
}

function readBackingName(cluster: Buffer, path: string): { name?: string; nameOffset?: number } {
  const nameOffset = readUint64(cluster, 8);
  if (nameOffset === 0) return {};
  const length = cluster.readUInt32BE(16);
  if (nameOffset === undefined || length > MAX_BACKING_NAME_BYTES || nameOffset + length > cluster.length) {
    throw invalid(path, "the backing file name lies outside the first cluster or is too long");
  }
  if (length === 0) return {};
  const name = cluster.toString("utf8", nameOffset, nameOffset + length);
  if (name.includes("\0")) throw invalid(path, "the backing file name holds a zero byte");
  return { name, nameOffset };
}

function readExtensions(cluster: Buffer, start: number, end: number, path: string): HeaderExtension[] {
  const extensions: HeaderExtension[] = [];
  let at = start;
  while (at + 8 <= end) {
    const type = cluster.readUInt32BE(at);
    const length = cluster.readUInt32BE(at + 4);
    if (type === 0) break;
    if (at + 8 + length > end) throw invalid(path, `a header extension of ${length} bytes leaves the first cluster`);
    extensions.push({ type, data: cluster.subarray(at + 8, at + 8 + length) });
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return extensions;
}

/** The format's "full disk encryption header pointer": where the keys are, and how long they are. */
function readEncryptionPlace(
  extensions: readonly HeaderExtension[],
  image: { readonly path: string; readonly clusterSize: number; readonly fileSize: number },
): EncryptionHeaderPlace | undefined {
  const data = extensions.find((extension) => extension.type === EXTENSION_ENCRYPTION)?.data;
  if (data === undefined) return undefined;
  const offset = data.length < 16 ? undefined : readUint64(data, 0);
  const length = data.length < 16 ? undefined : readUint64(data, 8);
  if (offset === undefined || length === undefined || offset < image.clusterSize || offset % image.clusterSize !== 0) {
    throw invalid(image.path, "the pointer to its encryption header is not possible");
  }
  if (offset + length > image.fileSize) throw invalid(image.path, "its encryption header lies outside the file");
  return { offset, length };
}

function readDataFile(
  features: readonly HeaderFeature[],
  extensions: readonly HeaderExtension[],
  path: string,
): DataFileReference | undefined {
  const declared = (kind: HeaderFeature["kind"], bit: number): boolean =>
    features.some((feature) => feature.kind === kind && feature.bit === bit);
  if (!declared("incompatible", 2)) return undefined;
  const name = extensions.find((extension) => extension.type === EXTENSION_DATA_FILE)?.data.toString("utf8");
  if (name?.includes("\0")) throw invalid(path, "the name of the data file holds a zero byte");
  return { name, raw: declared("autoclear", 1) };
}

/** The features that keep this engine from opening an image; empty when it can. */
export function unsupportedFeatures(header: Header): string[] {
  const reasons: string[] = [];
  for (const feature of header.features) {
    if (feature.kind === "incompatible" && feature.bit > 4) reasons.push(feature.name);
  }
  return reasons;
}

/** Refuses, by name, what this engine cannot serve. Errors: `ENCRYPTED`, `UNSUPPORTED_FEATURE`. */
export function assertSupported(header: Header, path: string): void {
  if (header.encryption === "aes") {
    throw new Qcow2Error("ENCRYPTED", `'${path}' is encrypted with AES (crypt_method 1), which is not supported`, {
      details: { encryption: header.encryption },
    });
  }
  const reasons = unsupportedFeatures(header);
  if (header.encryption === "luks" && header.dataFile !== undefined) {
    reasons.push("an external data file that is encrypted");
  }
  if (reasons.length > 0) {
    throw new Qcow2Error("UNSUPPORTED_FEATURE", `'${path}' needs what is not supported: ${reasons.join(", ")}`, {
      details: { features: reasons },
    });
  }
}

/** As `assertSupported`, and an image that is marked corrupt is not opened for writing. Errors: also `CORRUPT`. */
export function assertOpenable(header: Header, path: string, write: boolean): void {
  assertSupported(header, path);
  if (write && hasFeature(header, "incompatible", 1)) {
    throw new Qcow2Error("CORRUPT", `'${path}' is marked corrupt; it can be opened read-only`);
  }
}

/** A table read whole, its offsets held inside 2^53. */
export function readTable(file: ImageFile, offset: number, bytes: number): Buffer {
  const table = Buffer.alloc(bytes);
  file.readSync(table, offset);
  for (let at = 0; at + 8 <= bytes; at += 8) {
    if (entryOffset(table, at) === undefined) {
      throw new Qcow2Error("CORRUPT", `'${file.path}': a table entry at ${offset + at} exceeds 2^53-1`);
    }
  }
  return table;
}
