import { type FileLayer, nodeFileLayer } from "./file-layer.ts";
import {
  type BackingReference,
  type DataFileReference,
  hasFeature,
  readHeader,
  unsupportedFeatures,
} from "./header.ts";

/** What a header says about its file. Nothing it names was opened. */
export interface ImageInspection {
  readonly version: 2 | 3;
  readonly virtualSizeBytes: number;
  readonly clusterSizeBytes: number;
  readonly fileSizeBytes: number;
  readonly diskBytes: number;
  readonly refcountBits: number;
  readonly backing: BackingReference | undefined;
  /** The external file that holds the guest's data, as the header names it. */
  readonly dataFile: DataFileReference | undefined;
  readonly compression: "zlib" | "zstd";
  /** `"luks"` needs a passphrase to be opened. */
  readonly encryption: "none" | "aes" | "luks";
  readonly internalSnapshots: number;
  readonly isDirty: boolean;
  readonly isCorrupt: boolean;
  readonly features: readonly string[];
  /** Why this engine cannot open the image for writing; empty when it can. */
  readonly unsupported: readonly string[];
}

export interface InspectOptions {
  readonly fileLayer?: FileLayer;
}

/**
 * Reads the header of a file and nothing else: safe for files of unknown origin, in bounded time and memory. Takes no lock.
 * Errors: those of opening a file and of an invalid header.
 */
export async function inspect(path: string, options: InspectOptions = {}): Promise<ImageInspection> {
  const file = (options.fileLayer ?? nodeFileLayer).openSync(path, { write: false });
  try {
    const header = readHeader(file);
    const { sizeBytes, diskBytes } = file.status();
    const unsupported = unsupportedFeatures(header);
    if (header.encryption === "aes") unsupported.push(`encryption (${header.encryption})`);
    return {
      version: header.version,
      virtualSizeBytes: header.virtualSizeBytes,
      clusterSizeBytes: header.geometry.clusterSize,
      fileSizeBytes: sizeBytes,
      diskBytes,
      refcountBits: header.geometry.refcountBits,
      backing: header.backing,
      dataFile: header.dataFile,
      compression: header.compression,
      encryption: header.encryption,
      internalSnapshots: header.snapshotCount,
      isDirty: hasFeature(header, "incompatible", 0),
      isCorrupt: hasFeature(header, "incompatible", 1),
      features: header.features.map((feature) => feature.name),
      unsupported,
    };
  } finally {
    file.closeSync();
  }
}
