import fc from "fast-check";

/** Runs of a property; many more in the deep tests. */
export const runs: number = process.env.VDC_DEEP ? 5000 : 150;
/** The size of the export under test. */
export const SIZE: number = 1024 * 1024;

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Numbers at which lengths and offsets go wrong. */
export const edge: fc.Arbitrary<number> = fc.oneof(
  fc.nat(70),
  fc.constantFrom(0xffff_ffff, 0x7fff_ffff, SIZE, SIZE - 1, 33 << 20),
  fc.nat(SIZE),
);
export const junk: fc.Arbitrary<Buffer> = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
