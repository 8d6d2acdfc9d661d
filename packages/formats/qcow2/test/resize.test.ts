import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backingFolder, createImage, mapRanges, measure, openRawSource, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, temporaryFolder } from "./qemu-tools.ts";
import { unsyncedLayer } from "./unsynced-layer.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;

describe("resizing", () => {
  test("goes both ways while writes and flushes are under way", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 2, maxLength: 12 });
    const property = fc.asyncProperty(
      sizes,
      fc.constantFrom(9, 12, 16),
      fc.boolean(),
      fc.boolean(),
      async (steps, clusterBits, backed, extended) => {
        const own = temporaryFolder();
        try {
          const fileLayer = unsyncedLayer;
          const below = Buffer.alloc(MIB, 0xbb);
          writeFileSync(own.file("base"), below);
          const path = own.file("a");
          await createImage({
            path,
            virtualSizeBytes: 512 * 1024,
            clusterSizeBytes: 2 ** clusterBits,
            extendedL2: extended && clusterBits === 16,
            fileLayer,
            ...(backed ? { backing: { path: "base", format: "raw" as const } } : {}),
          });
          const image = await Qcow2Image.open(path, { fileLayer, resolveBacking: backingFolder(own.path) });
          let model = Buffer.alloc(512 * 1024, backed ? 0xbb : 0);
          const flushes: Promise<void>[] = [];
          for (const [index, sectors] of steps.entries()) {
            const size = sectors * 512;
            const at = (index * 77_777) % model.length;
            const data = Buffer.alloc(Math.min(100_000, model.length - at), index + 1);
            await image.write(data, at);
            data.copy(model, at);
            flushes.push(image.flush());
            await Promise.resolve();
            await image.resize(size, { allowShrink: true });
            const next = Buffer.alloc(size);
            model.copy(next);
            model = next;
            expect(image.sizeBytes).toBe(size);
            const seen = Buffer.alloc(size, 0xaa);
            await image.read(seen, 0);
            expect(seen.equals(model)).toBe(true);
          }
          await Promise.all(flushes);
          expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0, problems: [] });
          await image.close();
          if (hasQemuImg) {
            qemuCheck(path);
            writeFileSync(own.file("model"), model);
            qemuImg("compare", "-f", "qcow2", "-F", "raw", path, own.file("model"));
          }
        } finally {
          own.remove();
        }
      },
    );
    await fc.assert(property, { seed: 8, numRuns: process.env.VDC_DEEP ? 300 : 12 });
  });

  test("shrinking has to be allowed, and gives the space back", async () => {
    const path = folder.file("a");
    await createImage({ path, virtualSizeBytes: 64 * MIB });
    await using image = await Qcow2Image.open(path);
    await image.write(Buffer.alloc(8 * MIB, 1), 56 * MIB);
    await expect(image.resize(MIB)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const before = image.info().fileSizeBytes;
    await image.resize(MIB, { allowShrink: true });
    expect(image.info().fileSizeBytes).toBeLessThan(before - 7 * MIB);
    await image.resize(64 * MIB);
    const seen = Buffer.alloc(MIB);
    await image.read(seen, 60 * MIB);
    expect(seen.every((byte) => byte === 0)).toBe(true);
  });

  test.skipIf(!hasQemuImg)("version 2 with snapshots is refused, as QEMU does", async () => {
    const path = folder.file("a");
    qemuImg("create", "-f", "qcow2", "-o", "compat=0.10", path, "4M");
    qemuImg("snapshot", "-c", "s", path);
    await using image = await Qcow2Image.open(path);
    await expect(image.resize(8 * MIB)).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
  });
});

interface QemuRange {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly zero: boolean;
  readonly data: boolean;
}

describe.skipIf(!hasQemuImg)("maps and measures as QEMU does", () => {
  test("a chain of images", async () => {
    await createImage({ path: folder.file("base"), virtualSizeBytes: 6 * MIB });
    {
      await using base = await Qcow2Image.open(folder.file("base"));
      await base.write(Buffer.alloc(MIB, 1), MIB / 2);
      await base.write(Buffer.alloc(10, 1), 5 * MIB);
    }
    const path = folder.file("top");
    await createImage({ path, virtualSizeBytes: 8 * MIB, backing: { path: "base", format: "qcow2" } });
    {
      await using top = await Qcow2Image.open(path, { resolveBacking: backingFolder(folder.path) });
      await top.write(Buffer.alloc(100_000, 2), MIB);
      await top.writeZeroes(5 * MIB, 65_536);
      await top.write(Buffer.alloc(65_536, 2), 7 * MIB);
    }
    await using image = await Qcow2Image.open(path, { readOnly: true, resolveBacking: backingFolder(folder.path) });
    const theirs = JSON.parse(qemuImg("map", "--output=json", path)) as readonly QemuRange[];
    const dataOf = (
      ranges: Iterable<{ offset: number; length: number; data: boolean; zero: boolean; depth: number }>,
    ) => [...ranges].filter(({ data }) => data).map(({ offset, length, depth }) => ({ offset, length, depth }));
    const merged: { offset: number; length: number; depth: number }[] = [];
    for (const { start, length, depth, data } of theirs) {
      if (!data) continue;
      const last = merged.at(-1);
      if (last && last.depth === depth && last.offset + last.length === start) last.length += length;
      else merged.push({ offset: start, length, depth });
    }
    expect(dataOf(mapRanges(image))).toEqual(merged);
    const ours = [...mapRanges(image)];
    expect(ours.reduce((end, { offset, length }) => (offset === end ? end + length : Number.NaN), 0)).toBe(8 * MIB);
    expect([...mapRanges(image, { offset: 5 * MIB, length: 65_536 })]).toEqual([
      { offset: 5 * MIB, length: 65_536, depth: 0, present: true, zero: true, data: false },
    ]);
    const size = JSON.parse(qemuImg("measure", "-O", "qcow2", "--output=json", path)) as Record<string, number>;
    expect(measure(image)).toEqual({ requiredBytes: size.required, fullyAllocatedBytes: size["fully-allocated"] });
    const small = ["-o", "cluster_size=4k"];
    const other = JSON.parse(qemuImg("measure", "-O", "qcow2", ...small, "--output=json", path)) as Record<
      string,
      number
    >;
    expect(measure(image, { clusterSizeBytes: 4096 }).fullyAllocatedBytes).toBe(other["fully-allocated"]);
  });

  test("a raw disk", async () => {
    const path = folder.file("raw");
    writeFileSync(path, Buffer.alloc(3 * MIB, 1));
    const source = await openRawSource(path);
    const size = JSON.parse(qemuImg("measure", "-f", "raw", "-O", "qcow2", "--output=json", path)) as Record<
      string,
      number
    >;
    expect(measure(source)).toEqual({ requiredBytes: size.required, fullyAllocatedBytes: size["fully-allocated"] });
    await source.close();
  });
});
