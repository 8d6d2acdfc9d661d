/** A run of a disk's bytes that is allocated: it holds data, or is known to read as zeroes. */
export interface AllocationExtent {
  readonly offset: number;
  readonly length: number;
  readonly zero: boolean;
}

/** A part of a disk: which fraction of it holds data, and which is allocated and reads as zeroes. */
export interface AllocationCell {
  readonly data: number;
  readonly zero: number;
}

/** A disk in parts of one size; the last may reach beyond its end. */
export interface AllocationCells {
  readonly cellBytes: number;
  readonly cells: readonly AllocationCell[];
}

/** How many bytes hold data, and how many are allocated and read as zeroes. What lies outside the disk does not count. */
export function sumExtents(
  extents: readonly AllocationExtent[],
  sizeBytes: number,
): { readonly dataBytes: number; readonly zeroBytes: number } {
  let dataBytes = 0;
  let zeroBytes = 0;
  for (const { offset, length, zero } of extents) {
    const inside = Math.max(0, Math.min(sizeBytes, offset + length) - Math.max(0, offset));
    if (zero) zeroBytes += inside;
    else dataBytes += inside;
  }
  return { dataBytes, zeroBytes };
}

/**
 * Cuts a disk into at most so many parts of a power of two of bytes, 64 KiB at least, and tells what is in each. Time: the number of extents and of parts, and
 * no more, however large the disk.
 */
export function allocationCells(
  extents: readonly AllocationExtent[],
  sizeBytes: number,
  atMost: number,
): AllocationCells {
  let cellBytes = 65_536;
  while (Math.ceil(sizeBytes / cellBytes) > atMost) cellBytes *= 2;
  const count = Math.max(1, Math.ceil(sizeBytes / cellBytes));
  const bytes = { data: new Float64Array(count), zero: new Float64Array(count) };
  for (const { offset, length, zero } of extents) {
    const from = Math.max(0, offset);
    const to = Math.min(sizeBytes, offset + length);
    const into = zero ? bytes.zero : bytes.data;
    for (let cell = Math.floor(from / cellBytes); cell * cellBytes < to; cell++) {
      const start = cell * cellBytes;
      into[cell] = (into[cell] ?? 0) + Math.min(to, start + cellBytes) - Math.max(from, start);
    }
  }
  const cells = Array.from({ length: count }, (_, cell) => {
    // The last one is as large as what is left of the disk.
    const whole = Math.max(1, Math.min(cellBytes, sizeBytes - cell * cellBytes));
    const part = (value: number | undefined): number => Math.min(1, (value ?? 0) / whole);
    return { data: part(bytes.data[cell]), zero: part(bytes.zero[cell]) };
  });
  return { cellBytes, cells };
}

/** How full a part is: 0 for nothing, 1 to 4 for a quarter of it to all; `zero` where nothing but known zeroes is allocated. */
export function cellLevel({ data, zero }: AllocationCell): 0 | 1 | 2 | 3 | 4 | "zero" {
  if (data === 0) return zero > 0 ? "zero" : 0;
  return data > 0.999 ? 4 : (Math.min(3, Math.ceil(data * 4)) as 1 | 2 | 3);
}
