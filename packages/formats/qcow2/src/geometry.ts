import { Qcow2Error } from "./qcow2-error.ts";

/** The units of one image, derived from its header. All sizes in bytes. */
export interface Geometry {
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** Whether L2 entries carry a bitmap of subclusters (incompatible feature "extended L2 entries"). */
  readonly extendedL2: boolean;
  /** Bytes of one L2 entry: 8, or 16 when extended. */
  readonly l2EntryBytes: number;
  /** What one bit of an extended entry covers, a 32nd of a cluster; the whole cluster otherwise. */
  readonly subclusterSize: number;
  /** Entries of one L2 table. */
  readonly l2Entries: number;
  /** Guest bytes that one L2 table covers. */
  readonly l2Coverage: number;
  readonly refcountBits: number;
  /** Entries of one refcount block. */
  readonly blockEntries: number;
}

export const MIN_CLUSTER_BITS = 9;
export const MAX_CLUSTER_BITS = 21;
/** Extended L2 entries need subclusters of at least a sector. */
export const MIN_EXTENDED_CLUSTER_BITS = 14;
export const SUBCLUSTERS = 32;
/** QEMU's caps on what an image may make a reader hold in memory (block/qcow2.h). */
export const MAX_L1_BYTES: number = 32 * 1024 * 1024;
export const MAX_REFCOUNT_TABLE_BYTES: number = 8 * 1024 * 1024;
export const MAX_BACKING_NAME_BYTES = 1023;
export const MAX_SNAPSHOTS = 65536;
export const MAX_SNAPSHOT_TABLE_BYTES: number = 64 * 1024 * 1024;

export function geometryOf(clusterBits: number, refcountOrder: number, extendedL2 = false): Geometry {
  const clusterSize = 2 ** clusterBits;
  const refcountBits = 2 ** refcountOrder;
  const l2EntryBytes = extendedL2 ? 16 : 8;
  return {
    clusterBits,
    clusterSize,
    extendedL2,
    l2EntryBytes,
    subclusterSize: extendedL2 ? clusterSize / SUBCLUSTERS : clusterSize,
    l2Entries: clusterSize / l2EntryBytes,
    l2Coverage: clusterSize * (clusterSize / l2EntryBytes),
    refcountBits,
    blockEntries: (clusterSize * 8) / refcountBits,
  };
}

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** The cluster size as a power of two, or `INVALID_ARGUMENT`. */
export function clusterBitsOf(clusterSizeBytes: number): number {
  const bits = Math.log2(clusterSizeBytes);
  if (!Number.isInteger(bits) || bits < MIN_CLUSTER_BITS || bits > MAX_CLUSTER_BITS) {
    throw new Qcow2Error(
      "INVALID_ARGUMENT",
      `cluster size ${clusterSizeBytes} is not a power of two between 512 bytes and 2 MiB`,
    );
  }
  return bits;
}

/** The number of L1 entries for a virtual size, or `TOO_LARGE` beyond the format's cap. */
export function l1EntriesFor(virtualSizeBytes: number, geometry: Geometry): number {
  const entries = Math.ceil(virtualSizeBytes / geometry.l2Coverage);
  if (entries * 8 > MAX_L1_BYTES) {
    throw new Qcow2Error(
      "TOO_LARGE",
      `a disk of ${virtualSizeBytes} bytes needs a larger cluster size than ${geometry.clusterSize}`,
    );
  }
  return entries;
}

/** Disks have whole sectors: QEMU cuts off what is left over. Errors: `INVALID_ARGUMENT`. */
export function assertVirtualSize(virtualSizeBytes: number): void {
  if (!Number.isSafeInteger(virtualSizeBytes) || virtualSizeBytes < 0 || virtualSizeBytes % 512 !== 0) {
    throw new Qcow2Error("INVALID_ARGUMENT", `virtual size ${virtualSizeBytes} is not a multiple of 512 bytes`);
  }
}
