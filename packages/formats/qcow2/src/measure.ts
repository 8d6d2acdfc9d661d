import type { BlockSource } from "./block-source.ts";
import { l1EntriesFor, roundUp } from "./geometry.ts";
import { checkFormat, type ImageFormat } from "./image-format.ts";
import { mapRanges } from "./map-ranges.ts";

export interface MeasureOptions extends ImageFormat {
  readonly virtualSizeBytes: number;
  /** Guest bytes that will hold data. Defaults to none. */
  readonly dataBytes?: number;
}

/** How large an image's file becomes, in bytes. */
export interface MeasuredSize {
  /** With the data given. */
  readonly requiredBytes: number;
  /** When every byte of the disk was written. */
  readonly fullyAllocatedBytes: number;
}

/** The size of an image of a disk that is described, or of a copy of one that is there, in the variant given. Errors: `INVALID_ARGUMENT`, `TOO_LARGE`. */
export function measure(disk: MeasureOptions | BlockSource, format: ImageFormat = {}): MeasuredSize {
  if (!("readSync" in disk)) return sizeOf(disk);
  const virtualSizeBytes = roundUp(disk.sizeBytes, 512);
  const clusterSize = checkFormat(format).geometry.clusterSize;
  // Each cluster that holds any data is written whole, however many extents it has.
  let dataBytes = 0;
  let counted = 0;
  for (const { offset, length, data } of mapRanges(disk)) {
    if (!data) continue;
    const first = Math.max(counted, Math.floor(offset / clusterSize));
    const end = Math.ceil((offset + length) / clusterSize);
    dataBytes += Math.max(0, end - first) * clusterSize;
    counted = Math.max(counted, end);
  }
  return sizeOf({ ...format, virtualSizeBytes, dataBytes });
}

function sizeOf(options: MeasureOptions): MeasuredSize {
  const { geometry } = checkFormat(options);
  const { clusterSize } = geometry;
  const l1Clusters = Math.ceil((l1EntriesFor(options.virtualSizeBytes, geometry) * 8) / clusterSize);
  const sizeWith = (dataBytes: number): number => {
    const data = Math.min(roundUp(dataBytes, clusterSize), roundUp(options.virtualSizeBytes, clusterSize));
    const content = 1 + l1Clusters + data / clusterSize + Math.ceil(data / geometry.l2Coverage);
    let blocks = 0;
    let table = 1;
    for (;;) {
      const needed = Math.ceil((content + blocks + table) / geometry.blockEntries);
      const neededTable = Math.ceil((needed * 8) / clusterSize);
      if (needed === blocks && neededTable === table) return (content + blocks + table) * clusterSize;
      blocks = needed;
      table = neededTable;
    }
  };
  return {
    requiredBytes: sizeWith(options.dataBytes ?? 0),
    fullyAllocatedBytes: sizeWith(options.virtualSizeBytes),
  };
}
