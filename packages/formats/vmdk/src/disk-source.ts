/** A run of bytes of one kind: `data` is stored somewhere, `zero` and `hole` read as zeroes. */
export interface DiskExtent {
  readonly offset: number;
  readonly length: number;
  readonly kind: "data" | "zero" | "hole";
  /** The layer that decides it: always 0 here. */
  readonly depth: number;
}

/**
 * A disk that can be read: the shape in which packages hand disks to each other without importing each other; an image of `@vdc-os/qcow2` is one.
 * Offsets and lengths are bytes; a range must lie inside `sizeBytes`.
 */
export interface DiskSource {
  readonly sizeBytes: number;
  /** Fills the whole of `buffer`. */
  read(buffer: Uint8Array, offset: number): Promise<void>;
  /** The extents of the range in order, without gaps. */
  map(offset: number, length: number): readonly DiskExtent[];
}
