import type { ImageFile } from "./file-layer.ts";
import type { ImageCore } from "./image-core.ts";

/** A part of a read that is not in memory. */
export interface MissingRead {
  readonly file: ImageFile;
  readonly buffer: Uint8Array;
  readonly position: number;
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
  missing: MissingRead[] | undefined,
): void {
  if (missing === undefined || file.readCachedSync === undefined || file.read === undefined) {
    const count = file.readSync(buffer, position);
    if (count < buffer.length) buffer.fill(0, count);
    return;
  }
  const count = file.readCachedSync(buffer, position);
  if (count < buffer.length) missing.push({ file, buffer: buffer.subarray(count), position: position + count });
}
