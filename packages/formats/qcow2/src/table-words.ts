import { endianness } from "node:os";
import type { ImageFile } from "./file-layer.ts";

const TWO_32 = 2 ** 32;
const OFFSET_HIGH = 0x00ff_ffff;

/** A table of 64-bit entries as pairs of 32-bit words, high then low: what a pass over many entries reads fastest. */
export function wordsOf(table: Buffer): Uint32Array {
  // A copy, since a view must start at a multiple of four.
  const bytes = Buffer.from(new Uint8Array(table).buffer);
  if (endianness() === "LE") bytes.swap32();
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** The offset of an entry given as words, bits 9 to 55. It may exceed 2^53; then it lies in no file, so it need not be exact. */
export function wordsOffset(high: number, low: number): number {
  return (high & OFFSET_HIGH) * TWO_32 + ((low & 0xffff_fe00) >>> 0);
}

/** How much is read at once when tables lie next to each other. */
const READ_BYTES: number = 4 * 1024 * 1024;

/**
 * Reads clusters in the order in which they lie in the file, neighbours together, and calls `visit` with each as words.
 * What lies past the end of the file is zeros. `offsets` are changed: sorted.
 */
export function* readTables(
  file: ImageFile,
  offsets: number[],
  clusterSize: number,
): Generator<{ readonly offset: number; readonly bytes: Buffer }> {
  offsets.sort((left, right) => left - right);
  const most = Math.max(1, Math.floor(READ_BYTES / clusterSize));
  const buffer = Buffer.allocUnsafeSlow(Math.min(most, Math.max(1, offsets.length)) * clusterSize);
  for (let first = 0; first < offsets.length; ) {
    const start = offsets[first] ?? 0;
    let count = 1;
    while (count < most && offsets[first + count] === start + count * clusterSize) count++;
    const part = buffer.subarray(0, count * clusterSize);
    const read = file.readSync(part, start);
    if (read < part.length) part.fill(0, read);
    for (let index = 0; index < count; index++) {
      yield {
        offset: start + index * clusterSize,
        bytes: part.subarray(index * clusterSize, (index + 1) * clusterSize),
      };
    }
    first += count;
  }
}
