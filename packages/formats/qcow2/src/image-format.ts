import { clusterBitsOf, type Geometry, geometryOf, MIN_EXTENDED_CLUSTER_BITS } from "./geometry.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** The external file in which a new image keeps its guest's data. */
export interface NewDataFile {
  /**
   * Stored as given. Relative names count from the image's folder here, but from its own working folder in QEMU: give an absolute one where
   * QEMU opens the image too.
   */
  readonly path: string;
  /**
   * Whether the file stays readable as a raw disk by itself. Every cluster is then mapped from the start, so a large disk takes metadata in
   * proportion. Defaults to false.
   */
  readonly raw?: boolean;
  /** Takes an existing file, which then has to be exactly as long as the disk; needs `raw`. Defaults to false: the file is created. */
  readonly adopt?: boolean;
}

/** The variant of the format in which an image is made. Every choice but the cluster size is kept by all later writing. */
export interface ImageFormat {
  /** Version 2 is for readers from before 2012: it has no zero flag and none of the choices below. Defaults to 3. */
  readonly version?: 2 | 3;
  /** A power of two from 512 bytes to 2 MiB. Defaults to 65536. */
  readonly clusterSizeBytes?: number;
  /** 1, 2, 4, 8, 16, 32 or 64. Narrow counts save space and allow fewer references to one cluster. Defaults to 16. */
  readonly refcountBits?: number;
  /** Allocates in 32nds of a cluster, so that large clusters need no copying of their rest. Needs clusters of 16 KiB. Defaults to false. */
  readonly extendedL2?: boolean;
  /** How compressed clusters are written. Defaults to `"zlib"`. */
  readonly compression?: "zlib" | "zstd";
  /** Writes refcounts late: fewer writes, and after a crash opening counts everything anew. Defaults to false. */
  readonly lazyRefcounts?: boolean;
}

/** A variant whose choices go together. */
export interface CheckedFormat {
  readonly version: 2 | 3;
  readonly geometry: Geometry;
  readonly compression: "zlib" | "zstd";
  readonly lazyRefcounts: boolean;
}

/** Errors: `INVALID_ARGUMENT` for what the format does not have, or not together. */
export function checkFormat(format: ImageFormat & { readonly dataFile?: NewDataFile }): CheckedFormat {
  const { version = 3, clusterSizeBytes = 65536, refcountBits = 16, extendedL2 = false, compression = "zlib" } = format;
  const clusterBits = clusterBitsOf(clusterSizeBytes);
  const refcountOrder = Math.log2(refcountBits);
  if (!Number.isInteger(refcountOrder) || refcountOrder < 0 || refcountOrder > 6) {
    throw new Qcow2Error("INVALID_ARGUMENT", `refcounts of ${refcountBits} bits are not possible`);
  }
  if (extendedL2 && clusterBits < MIN_EXTENDED_CLUSTER_BITS) {
    throw new Qcow2Error("INVALID_ARGUMENT", "extended L2 entries need clusters of 16 KiB at least");
  }
  const isPlain =
    refcountBits === 16 &&
    !extendedL2 &&
    compression === "zlib" &&
    format.dataFile === undefined &&
    !format.lazyRefcounts;
  if (version === 2 && !isPlain) {
    throw new Qcow2Error(
      "INVALID_ARGUMENT",
      "version 2 has 16-bit refcounts that are not lazy, plain L2 entries, zlib and no data file",
    );
  }
  const geometry = geometryOf(clusterBits, refcountOrder, extendedL2);
  return { version, geometry, compression, lazyRefcounts: format.lazyRefcounts === true };
}
