import fc from "fast-check";

/** How often a property is tried; many more under `VDC_DEEP`. */
export const runs: { readonly seed: number; readonly numRuns: number } = {
  seed: 4,
  numRuns: process.env.VDC_DEEP ? 20_000 : 500,
};

/** Bytes from outside: random ones, and good ones with octets changed, cut, or lengthened. */
export function mangled(good: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
  const sample = fc.constantFrom(...good);
  const patches = fc.array(fc.tuple(fc.nat({ max: 4096 }), fc.nat({ max: 255 })), { maxLength: 6 });
  const changed = fc.tuple(sample, patches).map(([bytes, changes]) => {
    const copy = Buffer.from(bytes);
    for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value;
    return copy;
  });
  const cut = fc
    .tuple(changed, fc.nat({ max: 4096 }))
    .map(([bytes, at]) => Buffer.from(bytes.subarray(0, bytes.length === 0 ? 0 : at % bytes.length)));
  const longer = fc.tuple(changed, noise).map(([bytes, more]) => Buffer.concat([bytes, more]));
  return fc.oneof(noise, changed, cut, longer);
}
