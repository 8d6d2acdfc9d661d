import { GuestImageError } from "./guest-image-error.ts";

/** "The legacy frame": the first four bytes, little-endian. */
export const lz4LegacyMagic = 0x184c2102;

/** A block of a legacy frame never holds more than this many bytes. */
const maximumBlock = 8 * 1024 * 1024;

/**
 * Expands an lz4 legacy frame, the form in which the Linux build compresses kernels.
 *
 * Accepts what follows the last block in a kernel image: the length of the expanded kernel, 4 bytes.
 * Rejects with `BAD_ARCHIVE` what is torn or points outside of itself.
 * Source: lz4 `doc/lz4_Frame_format.md` (legacy frame) and `doc/lz4_Block_format.md`.
 */
export function expandLz4Legacy(input: Buffer): Buffer {
  if (input.length < 4 || input.readUInt32LE(0) !== lz4LegacyMagic) throw damaged("it has no lz4 legacy frame");
  const blocks: Buffer[] = [];
  let position = 4;
  while (position + 4 <= input.length) {
    const size = input.readUInt32LE(position);
    if (position + 4 === input.length) break;
    position += 4;
    if (size === lz4LegacyMagic) continue;
    if (size === 0 || position + size > input.length) throw damaged("a block ends outside of it");
    blocks.push(expandBlock(input.subarray(position, position + size)));
    position += size;
  }
  return Buffer.concat(blocks);
}

function expandBlock(source: Buffer): Buffer {
  const target = Buffer.allocUnsafe(maximumBlock);
  let read = 0;
  let written = 0;
  const length = (nibble: number): number => {
    let total = nibble;
    if (nibble !== 15) return total;
    for (;;) {
      const more = source[read];
      if (more === undefined) throw damaged("a length is cut off");
      read += 1;
      total += more;
      if (more !== 255) return total;
    }
  };
  while (read < source.length) {
    const token = source[read] ?? 0;
    read += 1;
    const literals = length(token >> 4);
    if (read + literals > source.length || written + literals > maximumBlock)
      throw damaged("literals run over the end");
    source.copy(target, written, read, read + literals);
    read += literals;
    written += literals;
    if (read === source.length) break;
    if (read + 2 > source.length) throw damaged("an offset is cut off");
    const offset = source.readUInt16LE(read);
    read += 2;
    const match = length(token & 15) + 4;
    if (offset === 0 || offset > written || written + match > maximumBlock) throw damaged("a match points outside");
    if (offset >= match) {
      target.copyWithin(written, written - offset, written - offset + match);
    } else {
      // The match overlaps what it writes: each byte may depend on the one just written.
      for (let at = written; at < written + match; at += 1) target[at] = target[at - offset] ?? 0;
    }
    written += match;
  }
  return target.subarray(0, written);
}

function damaged(why: string): GuestImageError {
  return new GuestImageError("BAD_ARCHIVE", `The compressed kernel is damaged: ${why}.`);
}
