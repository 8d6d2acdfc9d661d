import type { Qcow2Image } from "@vdc-os/qcow2";
import type { ChangeBitmap } from "./change-bitmap.ts";

/** A run of a volume's bytes, and whether it reads as zeroes. */
export interface ChangedRange {
  readonly offset: number;
  readonly length: number;
  readonly zero: boolean;
}

/** How many ranges one page has at most, about. */
const pageRanges = 2000;
/** How much of the map is looked at in one go, in bytes. */
const windowBytes = 2 ** 32;

/**
 * What changed, from an offset on, with what it is now; without a bitmap, what is allocated anywhere in the chain. Returns a page, and where the next
 * one begins.
 */
export function rangesOf(
  image: Pick<Qcow2Image, "map" | "sizeBytes">,
  bitmap: ChangeBitmap | undefined,
  startingOffset: number,
): { ranges: ChangedRange[]; next: number | undefined } {
  const ranges: ChangedRange[] = [];
  const runs = bitmap?.runs(startingOffset) ?? [
    { offset: startingOffset, length: Math.max(0, image.sizeBytes - startingOffset) },
  ];
  for (const run of runs) {
    const end = Math.min(run.offset + run.length, image.sizeBytes);
    for (let at = run.offset; at < end; ) {
      if (ranges.length >= pageRanges) return { ranges, next: at };
      const length = Math.min(windowBytes, end - at);
      for (const extent of image.map(at, length)) {
        const zero = extent.kind !== "data";
        if (zero && bitmap === undefined) continue;
        push(ranges, { offset: extent.offset, length: extent.length, zero });
      }
      at += length;
    }
  }
  return { ranges, next: undefined };
}

function push(ranges: ChangedRange[], next: ChangedRange): void {
  const last = ranges.at(-1);
  if (last?.zero === next.zero && last.offset + last.length === next.offset) {
    ranges[ranges.length - 1] = { ...last, length: last.length + next.length };
  } else {
    ranges.push(next);
  }
}
