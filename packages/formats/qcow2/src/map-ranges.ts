import type { BlockSource } from "./block-source.ts";

/** A run of a disk's bytes, as `qemu-img map` describes it. */
export interface MappedRange {
  readonly offset: number;
  readonly length: number;
  /** Which layer decides: 0 for the image itself, 1 for its backing, and so on. */
  readonly depth: number;
  /** Whether some layer says what the bytes are. Where none does, they read as zeros. */
  readonly present: boolean;
  /** Whether the bytes are known to read as zeros. */
  readonly zero: boolean;
  /** Whether bytes are stored. */
  readonly data: boolean;
}

/** How much of a disk is looked at in one step: a large disk then takes little memory. */
const WINDOW_BYTES: number = 64 * 1024 * 1024 * 1024;

/** The ranges of a disk in order, without gaps, neighbours of one kind merged. The disk may change meanwhile only outside of what was passed. */
export function* mapRanges(
  source: BlockSource,
  range: { readonly offset?: number; readonly length?: number } = {},
): Generator<MappedRange> {
  const { offset = 0 } = range;
  const end = Math.min(source.sizeBytes, offset + (range.length ?? source.sizeBytes));
  let last: MappedRange | undefined;
  for (let at = offset; at < end; at += WINDOW_BYTES) {
    for (const extent of source.map(at, Math.min(WINDOW_BYTES, end - at))) {
      const data = extent.kind === "data";
      const present = extent.kind !== "hole";
      if (last && last.data === data && last.present === present && last.depth === extent.depth) {
        last = { ...last, length: last.length + extent.length };
        continue;
      }
      if (last) yield last;
      last = { offset: extent.offset, length: extent.length, depth: extent.depth, present, zero: !data, data };
    }
  }
  if (last) yield last;
}
