/**
 * The bitmap half of an extended L2 entry: for each of 32 subclusters whether it is allocated (lower word) and whether it reads as zeros
 * (upper word). qcow2 specification, "Extended L2 Entries". Words are unsigned 32-bit numbers, bit 0 being the first subcluster.
 */

export const ALL_SUBCLUSTERS = 0xffff_ffff;

/** `invalid`: both bits are set, which the specification forbids. */
export type SubclusterKind = "unallocated" | "zero" | "data" | "invalid";

export function allocatedBits(table: Buffer, at: number): number {
  return table.readUInt32BE(at + 12);
}

export function zeroBits(table: Buffer, at: number): number {
  return table.readUInt32BE(at + 8);
}

export function writeSubclusterBits(table: Buffer, at: number, allocated: number, zero: number): void {
  table.writeUInt32BE(zero >>> 0, at + 8);
  table.writeUInt32BE(allocated >>> 0, at + 12);
}

/** Bits `first` to `end - 1`. */
export function subclusterMask(first: number, end: number): number {
  return (2 ** end - 2 ** first) >>> 0;
}

export function subclusterKind(table: Buffer, at: number, index: number): SubclusterKind {
  const allocated = (allocatedBits(table, at) >>> index) & 1;
  const zero = (zeroBits(table, at) >>> index) & 1;
  if (allocated === 1) return zero === 1 ? "invalid" : "data";
  return zero === 1 ? "zero" : "unallocated";
}
