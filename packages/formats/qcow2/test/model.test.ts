import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { backingFolder, createImage, dataFileFolder, nodeFileLayer, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, temporaryFolder } from "./qemu-tools.ts";
import { unsyncedLayer } from "./unsynced-layer.ts";
import { createOptionsOf, plain, VARIANTS, type Variant } from "./variants.ts";

const deep: boolean = Boolean(process.env.VDC_DEEP);

/** What was tried: each operation is followed by a look at the whole disk. */
const tried = { operations: 0, images: 0, judged: 0 };
afterAll(() => {
  const { operations, images, judged } = tried;
  console.log(
    `model cases: ${operations} operations on ${images} images against a flat model, ${judged} of the images and qemu-img`,
  );
});

type Step =
  | { readonly op: "write"; readonly at: number; readonly length: number; readonly byte: number }
  | { readonly op: "zero" | "discard" | "compressed"; readonly at: number; readonly length: number }
  | { readonly op: "flush" | "flushSync" | "reopen" | "flatten" }
  | { readonly op: "grow"; readonly by: number };

const MAX_LENGTH = 40_000;
const range = { at: fc.nat(1_000_000), length: fc.integer({ min: 1, max: MAX_LENGTH }) };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ op: fc.constant("write" as const), ...range, byte: fc.integer({ min: 1, max: 255 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom("zero" as const, "zero" as const, "discard" as const, "compressed" as const),
      ...range,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom("flush" as const, "flushSync" as const, "reopen" as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("grow" as const), by: fc.nat(400).map((sectors) => sectors * 512) }),
  },
);

interface Scenario {
  readonly variant: Variant;
  readonly size: number;
  readonly clusterBits: number;
  readonly backing: "none" | "raw" | "qcow2";
  readonly backingSize: number;
  readonly backingBits: number;
  readonly cacheBytes: number;
  readonly steps: readonly Step[];
  readonly flatten: boolean;
  /** Whether syncs wait for the real disk: most of a run's time, so few runs do. */
  readonly synced: boolean;
  /** Whether QEMU looks at the result too. Starting it costs more than the rest of a run, so with many runs few do. */
  readonly judged: boolean;
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  // Half of the runs are plain images, which is what most images are.
  variant: fc.nat(2 * VARIANTS.length).map((choice) => VARIANTS[choice] ?? plain),
  size: fc.integer({ min: 1, max: 700 }).map((sectors) => sectors * 512),
  clusterBits: fc.constantFrom(9, 10, 12, 16),
  backing: fc.constantFrom("none", "raw", "qcow2"),
  backingSize: fc.integer({ min: 1, max: 900 }).map((sectors) => sectors * 512),
  backingBits: fc.constantFrom(9, 12, 16),
  cacheBytes: fc.constantFrom(2048, 1 << 20),
  steps: fc.array(step, { minLength: 1, maxLength: 40, size: "max" }),
  flatten: fc.boolean(),
  synced: fc.nat(19).map((choice) => choice === 19),
  judged: fc.nat(7).map((choice) => choice === 7),
});

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** Bytes that a compressor makes smaller by about half, some clusters of it zeros. */
function halfRandom(length: number, seed: number): Buffer {
  const data = Buffer.alloc(length);
  let random = seed;
  for (let at = 0; at < length; at += 2) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    if ((at + seed) % 50_000 > 10_000) data[at] = random >>> 24;
  }
  return data;
}

async function runScenario(chosen: Scenario): Promise<void> {
  const { variant } = chosen;
  // A data file that is a raw disk by itself has nothing below it.
  const run: Scenario = variant.dataFile === "raw" ? { ...chosen, backing: "none" } : chosen;
  const folder = temporaryFolder();
  const fileLayer = run.synced ? nodeFileLayer : unsyncedLayer;
  try {
    const below = Buffer.alloc(run.backingSize);
    if (run.backing !== "none") {
      for (let at = 0; at < below.length; at += 3 * 1024)
        below.fill(1 + (at % 251), at, Math.min(below.length, at + 1500));
      if (run.backing === "raw") writeFileSync(folder.file("base"), below);
      else {
        const clusterSizeBytes = 2 ** run.backingBits;
        await createImage({ path: folder.file("base"), virtualSizeBytes: below.length, clusterSizeBytes, fileLayer });
        await using base = await Qcow2Image.open(folder.file("base"), { fileLayer });
        for (let at = 0; at < below.length; at += 3 * 1024) await base.write(below.subarray(at, at + 1500), at);
      }
    }
    const path = folder.file("disk.qcow2");
    await createImage({
      path,
      virtualSizeBytes: run.size,
      ...createOptionsOf(variant, { clusterBits: run.clusterBits, dataPath: folder.file("data") }),
      fileLayer,
      ...(run.backing === "none" ? {} : { backing: { path: "base", format: run.backing } }),
    });
    let model = Buffer.alloc(run.size);
    if (run.backing !== "none") below.copy(model);
    const resolveDataFile = dataFileFolder(folder.path);
    const options = {
      resolveBacking: backingFolder(folder.path),
      resolveDataFile,
      cacheBytes: run.cacheBytes,
      fileLayer,
    };
    let image = await Qcow2Image.open(path, options);
    const verify = async (): Promise<void> => {
      const content = Buffer.alloc(model.length, 0xaa);
      await image.read(content, 0);
      expect(content.equals(model)).toBe(true);
      let end = 0;
      for (const extent of image.map(0, model.length)) {
        expect(extent.offset).toBe(end);
        end += extent.length;
        if (extent.kind !== "data") {
          expect(model.subarray(extent.offset, end).every((byte) => byte === 0)).toBe(true);
        }
      }
      expect(end).toBe(model.length);
    };
    for (const action of run.steps) {
      switch (action.op) {
        case "write":
        case "zero":
        case "discard":
        case "compressed": {
          const at = action.at % model.length;
          const length = Math.min(action.length, model.length - at);
          if (action.op === "write") {
            const data = Buffer.alloc(length, action.byte);
            await image.write(data, at);
            data.copy(model, at);
          } else if (action.op === "zero") {
            await image.writeZeroes(at, length);
            model.fill(0, at, at + length);
          } else if (action.op === "compressed") {
            if (variant.dataFile !== "none") break;
            const first = at - (at % image.clusterSizeBytes);
            const data = halfRandom(Math.min(model.length - first, roundUp(length, image.clusterSizeBytes)), at);
            await image.writeCompressed(data, first);
            data.copy(model, first);
          } else {
            await image.discard(at, length);
            // Version 2 cannot hide what lies below.
            if (variant.format.version === 2 && image.backing) break;
            const unit = image.subclusterSizeBytes;
            const first = roundUp(at, unit);
            const last = at + length === model.length ? model.length : at + length - ((at + length) % unit);
            if (first < last) model.fill(0, first, last);
          }
          break;
        }
        case "flush":
          await image.flush();
          break;
        case "flushSync":
          image.flushSync();
          break;
        case "grow":
          await image.resize(model.length + action.by);
          model = Buffer.concat([model, Buffer.alloc(action.by)]);
          break;
        default:
          await image.close();
          image = await Qcow2Image.open(path, options);
      }
      await verify();
      tried.operations++;
    }
    tried.images++;
    if (run.flatten) {
      await image.flatten();
      expect(image.backing).toBeUndefined();
      await verify();
    }
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    await image.close();
    if (run.judged && hasQemuImg) {
      qemuCheck(path);
      qemuImg("convert", "-f", "qcow2", "-O", "raw", path, folder.file("converted"));
      expect(readFileSync(folder.file("converted")).equals(model)).toBe(true);
      tried.judged++;
    }
    if (variant.dataFile === "raw") expect(readFileSync(folder.file("data")).equals(model)).toBe(true);
  } finally {
    folder.remove();
  }
}

describe("an image against a flat model", () => {
  test("reads, maps and checks as the model says, also in QEMU's eyes", async () => {
    const numRuns = deep ? 1500 : 200;
    await fc.assert(fc.asyncProperty(scenario, runScenario), { seed: 20240611, numRuns });
  });
});
