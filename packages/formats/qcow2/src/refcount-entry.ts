/**
 * Refcount entries of every legal width, 1 to 64 bits (qcow2 specification, "Host cluster management"). Narrow entries fill a byte from
 * its least significant bit on; wide ones are big-endian.
 */

/** The largest count that an entry of `bits` bits holds; for 64 bits, the largest that is exact as a number. */
export function maximumCount(bits: number): number {
  return bits === 64 ? Number.MAX_SAFE_INTEGER : 2 ** bits - 1;
}

/** The byte of a block in which an entry begins. */
export function countPosition(entry: number, bits: number): number {
  return Math.floor((entry * bits) / 8);
}

/** 64-bit counts beyond 2^53 lose precision; they exceed `maximumCount`, so that a caller who must be exact can tell. */
export function readCount(block: Buffer, entry: number, bits: number): number {
  switch (bits) {
    case 16:
      return block.readUInt16BE(entry * 2);
    case 32:
      return block.readUInt32BE(entry * 4);
    case 64:
      return block.readUInt32BE(entry * 8) * 2 ** 32 + block.readUInt32BE(entry * 8 + 4);
    case 8:
      return block.readUInt8(entry);
    default: {
      const perByte = 8 / bits;
      const byte = block.readUInt8(Math.floor(entry / perByte));
      return (byte >>> ((entry % perByte) * bits)) & (2 ** bits - 1);
    }
  }
}

/** Stores a count that `maximumCount` allows. */
export function writeCount(block: Buffer, entry: number, bits: number, count: number): void {
  switch (bits) {
    case 16:
      block.writeUInt16BE(count, entry * 2);
      break;
    case 32:
      block.writeUInt32BE(count, entry * 4);
      break;
    case 64:
      block.writeUInt32BE(Math.floor(count / 2 ** 32), entry * 8);
      block.writeUInt32BE(count % 2 ** 32, entry * 8 + 4);
      break;
    case 8:
      block.writeUInt8(count, entry);
      break;
    default: {
      const perByte = 8 / bits;
      const at = Math.floor(entry / perByte);
      const shift = (entry % perByte) * bits;
      const mask = (2 ** bits - 1) << shift;
      block.writeUInt8((block.readUInt8(at) & ~mask) | (count << shift), at);
    }
  }
}
