/**
 * 64-bit table entries as two 32-bit halves: JavaScript numbers hold 53 bits and `<<` only 32, so no entry is ever one number.
 * Layout: qcow2 specification, "Cluster mapping".
 */
const COPIED_HIGH = 0x8000_0000;
const COMPRESSED_HIGH = 0x4000_0000;
const OFFSET_HIGH = 0x00ff_ffff;
const TWO_32 = 2 ** 32;
/** Host offsets reach 56 bits; beyond 53 a number is no longer exact, so such an image counts as damaged. */
const UNSAFE_HIGH = 0x0020_0000;

/** A 64-bit big-endian value, or `undefined` when it does not fit in a safe integer. */
export function readUint64(buffer: Buffer, at: number): number | undefined {
  const high = buffer.readUInt32BE(at);
  return high >= UNSAFE_HIGH ? undefined : high * TWO_32 + buffer.readUInt32BE(at + 4);
}

export function writeUint64(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32BE(Math.floor(value / TWO_32), at);
  buffer.writeUInt32BE(value % TWO_32, at + 4);
}

/** The host offset of an L1 or plain L2 entry; `undefined` when it is not exact. */
export function entryOffset(table: Buffer, at: number): number | undefined {
  const high = table.readUInt32BE(at) & OFFSET_HIGH;
  if (high >= UNSAFE_HIGH) return undefined;
  return high * TWO_32 + ((table.readUInt32BE(at + 4) & 0xffff_fe00) >>> 0);
}

/** Whether the refcount of what the entry points to is exactly one, so that it may be written in place. */
export function entryIsCopied(table: Buffer, at: number): boolean {
  return (table.readUInt32BE(at) & COPIED_HIGH) !== 0;
}

export function entryIsCompressed(table: Buffer, at: number): boolean {
  return (table.readUInt32BE(at) & COMPRESSED_HIGH) !== 0;
}

/** The "reads as zeros" flag; only images of version 3 have it. */
export function entryIsZero(table: Buffer, at: number): boolean {
  return (table.readUInt32BE(at + 4) & 1) !== 0;
}

export function entryIsEmpty(table: Buffer, at: number): boolean {
  return table.readUInt32BE(at) === 0 && table.readUInt32BE(at + 4) === 0;
}

/** Whether bits that the specification reserves are set in a plain L2 entry. */
export function entryHasReservedBits(table: Buffer, at: number): boolean {
  return (table.readUInt32BE(at) & 0x3f00_0000) !== 0 || (table.readUInt32BE(at + 4) & 0x1fe) !== 0;
}

export function writeEntry(table: Buffer, at: number, hostOffset: number): void {
  table.writeUInt32BE((Math.floor(hostOffset / TWO_32) | COPIED_HIGH) >>> 0, at);
  table.writeUInt32BE(hostOffset % TWO_32, at + 4);
}

/** Sets or clears the copied flag and nothing else. */
export function setEntryCopied(table: Buffer, at: number, copied: boolean): void {
  const high = table.readUInt32BE(at);
  table.writeUInt32BE((copied ? high | COPIED_HIGH : high & ~COPIED_HIGH) >>> 0, at);
}

/** Makes the entry empty, or a plain "reads as zeros". */
export function clearEntry(table: Buffer, at: number, zero: boolean): void {
  table.writeUInt32BE(0, at);
  table.writeUInt32BE(zero ? 1 : 0, at + 4);
}

/** Where compressed data starts and how many bytes it may span (whole 512-byte sectors). `undefined`: not exact. */
export function compressedRange(
  table: Buffer,
  at: number,
  clusterBits: number,
): { readonly offset: number; readonly length: number } | undefined {
  const high = table.readUInt32BE(at);
  // The size field sits just below bit 62 and always within the upper half, for every legal cluster size.
  const shift = 62 - (clusterBits - 8) - 32;
  const offsetHigh = high & (2 ** shift - 1);
  if (offsetHigh >= UNSAFE_HIGH) return undefined;
  const offset = offsetHigh * TWO_32 + table.readUInt32BE(at + 4);
  const sectors = ((high >>> shift) & (2 ** (clusterBits - 8) - 1)) + 1;
  return { offset, length: sectors * 512 - (offset % 512) };
}

/** Points an entry at compressed data, of which `length` bytes start at `offset`. Such an entry never has the copied flag. */
export function writeCompressedEntry(
  table: Buffer,
  at: number,
  range: { readonly offset: number; readonly length: number; readonly clusterBits: number },
): void {
  const { offset, length, clusterBits } = range;
  const shift = 62 - (clusterBits - 8) - 32;
  const sectors = Math.floor((offset + length - 1) / 512) - Math.floor(offset / 512);
  const high = COMPRESSED_HIGH + sectors * 2 ** shift + Math.floor(offset / TWO_32);
  table.writeUInt32BE(high, at);
  table.writeUInt32BE(offset % TWO_32, at + 4);
}

/** The first host offset that a compressed entry cannot hold. */
export function compressedOffsetLimit(clusterBits: number): number {
  return Math.min(2 ** (62 - (clusterBits - 8)), 2 ** 53);
}
