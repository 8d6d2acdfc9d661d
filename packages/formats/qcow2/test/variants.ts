import type { CreateImageOptions, ImageFormat } from "../src/index.ts";

/** A variant of the format, and what a test has to know about it. */
export interface Variant {
  readonly name: string;
  readonly format: ImageFormat;
  /** Clusters must have at least this many bits. */
  readonly minimumClusterBits: number;
  readonly dataFile: "none" | "plain" | "raw";
}

function variant(name: string, format: ImageFormat, dataFile: Variant["dataFile"] = "none"): Variant {
  return { name, format, dataFile, minimumClusterBits: format.extendedL2 ? 14 : 9 };
}

export const plain: Variant = variant("plain", {});

const WIDTHS = [1, 2, 4, 8, 32, 64];

/** One of each kind; what differs in one respect stands alone, and a few go together. */
export const VARIANTS: readonly Variant[] = [
  plain,
  variant("version 2", { version: 2 }),
  ...WIDTHS.map((bits) => variant(`${bits}-bit refcounts`, { refcountBits: bits })),
  variant("extended L2", { extendedL2: true }),
  variant("zstd", { compression: "zstd" }),
  variant("data file", {}, "plain"),
  variant("raw data file", {}, "raw"),
  variant("extended L2, zstd, 1-bit refcounts", { extendedL2: true, compression: "zstd", refcountBits: 1 }),
  variant("extended L2, data file, 64-bit refcounts", { extendedL2: true, refcountBits: 64 }, "plain"),
  variant("extended L2, raw data file", { extendedL2: true }, "raw"),
];

/** What `createImage` is given for a variant. QEMU takes a relative data file from its own folder, so `dataPath` should be absolute. */
export function createOptionsOf(
  { format, minimumClusterBits, dataFile }: Variant,
  options: { readonly clusterBits: number; readonly dataPath: string },
): Pick<CreateImageOptions, keyof ImageFormat | "dataFile"> {
  return {
    ...format,
    clusterSizeBytes: 2 ** Math.max(options.clusterBits, minimumClusterBits),
    ...(dataFile === "none" ? {} : { dataFile: { path: options.dataPath, raw: dataFile === "raw" } }),
  };
}
