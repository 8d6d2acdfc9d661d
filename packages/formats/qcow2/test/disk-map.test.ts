import fc from "fast-check";
import { expect, test } from "vitest";
import { changedBetween, type DiskMap } from "../src/index.ts";

const unitBytes = 65536;

function mapOf(units: Float64Array, cut = 0): DiskMap {
  return { sizeBytes: units.length * unitBytes - cut, unitBytes, units };
}

/** One unit after the other. */
function expected(before: Float64Array, after: Float64Array, sizeBytes: number): { offset: number; length: number }[] {
  const ranges: { offset: number; length: number }[] = [];
  for (let unit = 0; unit < after.length; unit++) {
    if (after[unit] === (unit < before.length ? before[unit] : -1)) continue;
    const length = Math.min(unitBytes, sizeBytes - unit * unitBytes);
    const last = ranges.at(-1);
    if (last && last.offset + last.length === unit * unitBytes) last.length += length;
    else ranges.push({ offset: unit * unitBytes, length });
  }
  return ranges;
}

test("what changed between two maps is found, however much that is and wherever it lies", () => {
  const changes = fc.array(fc.record({ at: fc.nat(9000), length: fc.integer({ min: 1, max: 3000 }) }), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(
      fc.nat(9000),
      fc.nat(9000),
      changes,
      fc.integer({ min: 0, max: unitBytes - 1 }),
      (old, now, list, cut) => {
        const before = Float64Array.from({ length: old }, (_, unit) => unit * unitBytes);
        const after = Float64Array.from({ length: now }, (_, unit) => (unit < old ? unit * unitBytes : -1));
        for (const [index, { at, length }] of list.entries())
          after.fill(-10 - index, at, at + (index % 2 ? 1 : length));
        const last = now === 0 ? 0 : cut;
        const map = mapOf(after, last);
        expect(changedBetween(mapOf(before), map)).toEqual(expected(before, after, map.sizeBytes));
      },
    ),
    { seed: 20, numRuns: process.env.VDC_DEEP ? 5000 : 200 },
  );
});
