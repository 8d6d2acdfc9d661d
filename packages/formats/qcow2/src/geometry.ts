import { Qcow2Error } from "./qcow2-error.ts";

/** The units of one image, derived from its header. All sizes in bytes. */
export interface Geometry {
  readonly clusterBits: number;
  readonly clusterSize: number;
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
/** QEMU's caps on what an image may make a reader hold in memory (block/qcow2.h). */
export const MAX_L1_BYTES: number = 32 * 1024 * 1024;
export const MAX_REFCOUNT_TABLE_BYTES: number = 8 * 1024 * 1024;
export const MAX_BACKING_NAME_BYTES = 1023;
export const MAX_SNAPSHOTS = 65536;
export const MAX_SNAPSHOT_TABLE_BYTES: number = 64 * 1024 * 1024;

export function geometryOf(clusterBits: number, refcountOrder: number): Geometry {
  const clusterSize = 2 ** clusterBits;
  const refcountBits = 2 ** refcountOrder;
  return {
    clusterBits,
    clusterSize,
    l2Entries: clusterSize / 8,
    l2Coverage: clusterSize * (clusterSize / 8),
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
