/**
 * What an extent of a disk holds.
 *
 * - `data`: bytes stored somewhere in the chain. They may happen to be zero.
 * - `zero`: known to read as zeros because a layer says so.
 * - `hole`: no layer holds it, so it reads as zeros.
 */
export type ExtentKind = "data" | "zero" | "hole";

/** A run of bytes of one kind. `depth` is the layer that decides it: 0 for the image itself, 1 for its backing, and so on. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly kind: ExtentKind;
  readonly depth: number;
}

/**
 * A disk that can be read: the shape in which packages hand disks to each other without importing each other.
 * Offsets and lengths are bytes; a range must lie inside `sizeBytes`.
 */
export interface BlockSource {
  readonly sizeBytes: number;
  /** Fills the whole of `buffer`. */
  read(buffer: Uint8Array, offset: number): Promise<void>;
  /** As `read`, at once; what an image's backing is read through. */
  readSync(buffer: Uint8Array, offset: number): void;
  /** As `read`; returns nothing where all of it is in memory, and is done then. Absent where that can't be told. */
  readWithoutWaiting?(buffer: Uint8Array, offset: number): Promise<void> | undefined;
  /** The extents of the range in order, without gaps, neighbours merged. */
  map(offset: number, length: number): Extent[];
  close(): Promise<void>;
}

/** Adds an extent to a list, merging it with the last one when they continue each other. */
export function pushExtent(extents: Extent[], next: Extent): void {
  if (next.length === 0) return;
  const last = extents.at(-1);
  if (last && last.kind === next.kind && last.depth === next.depth && last.offset + last.length === next.offset) {
    extents[extents.length - 1] = { ...last, length: last.length + next.length };
  } else {
    extents.push(next);
  }
}
