/** A value and the bits of it that count. */
export interface MaskedValue {
  readonly value: number;
  readonly mask: number;
}

/** The fewest masked values that are a range, both ends included, of numbers with so many bits. */
export function maskedRange(from: number, to: number, bits: number): readonly MaskedValue[] {
  const all = 2 ** bits - 1;
  const found: MaskedValue[] = [];
  for (let at = from; at <= to; ) {
    let size = 1;
    while (at % (size * 2) === 0 && at + size * 2 - 1 <= to && size * 2 <= all + 1) size *= 2;
    found.push({ value: at, mask: all - (size - 1) });
    at += size;
  }
  return found;
}
