import type { BackingReference, DataFileReference } from "./header.ts";
import type { ImageCore } from "./image-core.ts";
import { hasLazyRefcounts } from "./lazy-refcounts.ts";
import { mapImage } from "./read-path.ts";

/** The state of an open image; sizes in bytes. */
export interface ImageInfo {
  readonly path: string;
  readonly version: 2 | 3;
  readonly virtualSizeBytes: number;
  readonly clusterSizeBytes: number;
  readonly fileSizeBytes: number;
  /** What the file occupies on its file system. */
  readonly diskBytes: number;
  readonly backing: BackingReference | undefined;
  readonly readOnly: boolean;
  readonly refcountBits: number;
  readonly extendedL2: boolean;
  /** How compressed clusters are written. */
  readonly compression: "zlib" | "zstd";
  readonly dataFile: DataFileReference | undefined;
  readonly lazyRefcounts: boolean;
  readonly encrypted: boolean;
}

export function imageInfo(core: ImageCore): ImageInfo {
  const { header, geometry } = core;
  const { sizeBytes, diskBytes } = core.file.status();
  return {
    path: core.file.path,
    version: core.version,
    virtualSizeBytes: core.virtualSizeBytes,
    clusterSizeBytes: geometry.clusterSize,
    fileSizeBytes: sizeBytes,
    diskBytes,
    backing: header.backing,
    readOnly: core.writer === undefined,
    refcountBits: geometry.refcountBits,
    extendedL2: geometry.extendedL2,
    compression: header.compression,
    dataFile: header.dataFile,
    lazyRefcounts: hasLazyRefcounts(header),
    encrypted: core.cipher !== undefined,
  };
}

/** The clusters of an image that hold data of its own, in bytes. */
export function allocatedBytes(core: ImageCore): number {
  const { clusterSize } = core.geometry;
  let clusters = 0;
  let counted = 0;
  for (const extent of mapImage({ ...core, backing: undefined }, 0, core.virtualSizeBytes)) {
    if (extent.kind !== "data") continue;
    // Subclusters of one cluster may be extents of their own.
    const first = Math.max(counted, Math.floor(extent.offset / clusterSize));
    const end = Math.ceil((extent.offset + extent.length) / clusterSize);
    clusters += Math.max(0, end - first);
    counted = Math.max(counted, end);
  }
  return clusters * clusterSize;
}
