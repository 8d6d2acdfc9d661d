import type { ImageFile } from "./file-layer.ts";
import type { ImageCore } from "./image-core.ts";

/** A part of a read that is not in memory. */
export interface MissingRead {
  readonly file: ImageFile;
  readonly buffer: Uint8Array;
  readonly position: number;
}

/** From this size on, copying on another thread outweighs the way there and back. */
export const MIN_POOLED_BYTES: number = 256 * 1024;

/** The parts of a read that are left to the thread pool. */
export class MissingReads {
  readonly list: MissingRead[] = [];
  /** Whether large parts are left to the pool even where they are in memory. */
  readonly offloads: boolean;

  constructor(offloads: boolean) {
    this.offloads = offloads;
  }
}

/** The file in which an image's data lies as the guest sees it; `undefined` when it must be decoded first. */
export function plainFileOf(core: ImageCore): ImageFile | undefined {
  return core.cipher === undefined ? core.data : undefined;
}

/**
 * Fills `buffer` from a file; what lies past its end is zeros. With `missing`, what would have to be waited for is added to that instead, where the
 * file can tell.
 */
export function readOrMiss(
  file: ImageFile,
  buffer: Uint8Array,
  position: number,
  missing: MissingReads | undefined,
): void {
  if (missing === undefined || file.readCachedSync === undefined || file.read === undefined) {
    const count = file.readSync(buffer, position);
    if (count < buffer.length) buffer.fill(0, count);
    return;
  }
  const count = missing.offloads && buffer.length >= MIN_POOLED_BYTES ? 0 : file.readCachedSync(buffer, position);
  if (count < buffer.length) missing.list.push({ file, buffer: buffer.subarray(count), position: position + count });
}
