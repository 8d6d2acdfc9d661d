import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  backingFolder,
  type CreateImageOptions,
  copyCompressed,
  createImage,
  dataFileFolder,
  openRawSource,
  Qcow2Image,
} from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, qemuIo, temporaryFolder } from "./qemu-tools.ts";
import { createOptionsOf, VARIANTS } from "./variants.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const KIB = 1024;
const MIB = 1024 * KIB;

const open = (path: string): Promise<Qcow2Image> =>
  Qcow2Image.open(path, {
    resolveBacking: backingFolder(folder.path),
    resolveDataFile: dataFileFolder(folder.path),
  });

async function contentOf(image: Qcow2Image): Promise<Buffer> {
  const content = Buffer.alloc(image.sizeBytes, 0xaa);
  await image.read(content, 0);
  return content;
}

/** QEMU finds nothing wrong and reads the same bytes. */
function judge(path: string, model: Buffer): void {
  qemuCheck(path);
  qemuImg("convert", "-f", "qcow2", "-O", "raw", path, folder.file("converted"));
  expect(readFileSync(folder.file("converted")).equals(model)).toBe(true);
}

/** Creates an image, writes here and there, gives some of it back, and hands it to QEMU. */
async function makeAndJudge(format: Partial<CreateImageOptions>, size: number): Promise<void> {
  const path = folder.file("made.qcow2");
  await createImage({ path, virtualSizeBytes: size, ...format });
  const model = Buffer.alloc(size);
  {
    await using image = await open(path);
    for (let at = 100, step = 1; at < size; at += Math.floor(size / 9), step++) {
      const data = Buffer.alloc(Math.min(step * 7001, size - at), step);
      await image.write(data, at);
      data.copy(model, at);
    }
    await image.flush();
    await image.writeZeroes(5000, 9000);
    model.fill(0, 5000, 14_000);
    await image.write(model.subarray(0, 20), 12_000);
    model.copy(model, 12_000, 0, 20);
    expect((await contentOf(image)).equals(model)).toBe(true);
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
  }
  judge(path, model);
}

describe.skipIf(!hasQemuImg)("images of every kind, made here and judged by QEMU", () => {
  test.each([9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21])("clusters of 2^%d bytes", async (bits) => {
    await makeAndJudge({ clusterSizeBytes: 2 ** bits }, 3 * MIB + 512);
  });

  test.each(VARIANTS)("$name", async (variant) => {
    for (const clusterBits of [9, 16]) {
      await makeAndJudge(createOptionsOf(variant, { clusterBits, dataPath: folder.file("data") }), MIB + 1536);
      folder.remove();
      folder = temporaryFolder();
    }
  });

  test("refcounts of every width outgrow their first block and their table", async () => {
    for (const refcountBits of [1, 8, 64]) {
      await makeAndJudge({ refcountBits, clusterSizeBytes: 512, path: folder.file("made.qcow2") }, MIB);
      const path = folder.file(`${refcountBits}.qcow2`);
      await createImage({ path, virtualSizeBytes: 12 * MIB, clusterSizeBytes: 512, refcountBits });
      const model = Buffer.alloc(12 * MIB, refcountBits);
      {
        await using image = await open(path);
        await image.write(model, 0);
      }
      judge(path, model);
      folder.remove();
      folder = temporaryFolder();
    }
  });
});

describe.skipIf(!hasQemuImg)("images of every kind, made by QEMU", () => {
  test.each([
    ["1-bit refcounts", "refcount_bits=1"],
    ["2-bit refcounts", "refcount_bits=2,cluster_size=4k"],
    ["64-bit refcounts", "refcount_bits=64,cluster_size=512"],
    ["version 2", "compat=0.10"],
    ["extended L2", "extended_l2=on"],
    ["extended L2, small clusters", "extended_l2=on,cluster_size=16k,refcount_bits=8"],
    ["extended L2, large clusters, zstd", "extended_l2=on,cluster_size=2M,compression_type=zstd"],
    ["a data file", "data_file=DATA"],
    ["a raw data file", "data_file=DATA,data_file_raw=on"],
    ["a data file and extended L2", "data_file=DATA,extended_l2=on"],
  ])("%s", async (_name, options) => {
    const path = folder.file("a.qcow2");
    const raw = options.includes("raw=on");
    const base = raw ? [] : ["-b", folder.file("base"), "-F", "raw"];
    const model = Buffer.alloc(4 * MIB);
    if (!raw) {
      for (let at = 0; at < MIB; at += 4 * KIB) model.writeUInt32BE(at + 1, at);
      writeFileSync(folder.file("base"), model.subarray(0, MIB));
    }
    qemuImg("create", "-f", "qcow2", "-o", options.replace("DATA", folder.file("data")), ...base, path, "4M");
    qemuIo(path, "write -P 1 4k 3k", "write -P 2 1500k 1M", "write -z 100k 64k", "discard 2M 64k");
    model.fill(1, 4 * KIB, 7 * KIB);
    model.fill(2, 1500 * KIB, 2524 * KIB);
    model.fill(0, 100 * KIB, 164 * KIB);
    {
      await using image = await open(path);
      // QEMU may discard all of the range or none of it.
      await image.read(model.subarray(2 * MIB, 2 * MIB + 64 * KIB), 2 * MIB);
      expect((await contentOf(image)).equals(model)).toBe(true);
      await image.write(Buffer.alloc(3000, 3), 5 * KIB + 7);
      model.fill(3, 5 * KIB + 7, 5 * KIB + 3007);
      await image.write(Buffer.alloc(700 * KIB, 4), 90 * KIB + 100);
      model.fill(4, 90 * KIB + 100, 790 * KIB + 100);
      await image.writeZeroes(200 * KIB, 70 * KIB);
      model.fill(0, 200 * KIB, 270 * KIB);
      expect((await contentOf(image)).equals(model)).toBe(true);
      expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    }
    judge(path, model);
    // And QEMU goes on where this left off.
    expect(qemuIo(path, "write -P 9 90k 300k", "read -P 9 90k 300k", "read -P 4 500k 10k")).not.toContain("failed");
    qemuCheck(path);
    if (raw) expect(readFileSync(folder.file("data")).readUInt8(90 * KIB)).toBe(9);
  });

  test("what QEMU compressed with either method is read, whatever follows it in its sector", async () => {
    const model = Buffer.alloc(2 * MIB);
    for (let at = 0; at < model.length; at += 777) model.writeUInt16BE(at % 65_536, at);
    writeFileSync(folder.file("raw"), model);
    for (const [method, size] of [
      ["zlib", "4k"],
      ["zlib", "2M"],
      ["zstd", "4k"],
      ["zstd", "64k"],
      ["zstd", "2M"],
    ]) {
      const path = folder.file(`${method}-${size}`);
      const options = `compression_type=${method},cluster_size=${size}`;
      qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, folder.file("raw"), path);
      await using image = await open(path);
      expect((await contentOf(image)).equals(model)).toBe(true);
      expect(image.info().compression).toBe(method);
    }
  });
});

describe("compressed clusters written here", () => {
  test.each([
    ["zlib", 512, 16],
    ["zlib", 65_536, 16],
    ["zstd", 4096, 1],
    ["zstd", 65_536, 2],
    ["zstd", 2 * MIB, 64],
  ] as const)("%s, clusters of %d bytes, %d-bit refcounts", async (compression, clusterSizeBytes, refcountBits) => {
    const size = 4 * MIB + 512;
    const model = Buffer.alloc(size);
    for (let at = 0; at < size; at += 97) if (at % 300_000 > 90_000) model[at] = at % 251;
    writeFileSync(folder.file("raw"), model);
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: size, clusterSizeBytes, compression, refcountBits });
    {
      await using source = await openSource(folder.file("raw"));
      await using image = await open(path);
      await copyCompressed(source, image);
      expect((await contentOf(image)).equals(model)).toBe(true);
      const { compressedClusters } = await image.check();
      expect(compressedClusters).toBeGreaterThan(0);
      // Writing over a part of the clusters gives their share of the host clusters back.
      model.fill(7, 400_000, 1_300_000);
      await image.write(model.subarray(400_000, 1_300_000), 400_000);
      expect((await contentOf(image)).equals(model)).toBe(true);
      expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
      await image.writeZeroes(0, size);
      await image.flush();
      model.fill(0);
      expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0, compressedClusters: 0 });
    }
    if (hasQemuImg) judge(path, model);
  });

  test("wide enough refcounts pack many clusters into one, and parts of clusters are refused", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: 64 * 65_536 });
    await using image = await open(path);
    await image.writeCompressed(Buffer.alloc(64 * 65_536, 5), 0);
    await image.flush();
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0, compressedClusters: 64 });
    await expect(image.writeCompressed(Buffer.alloc(512), 0)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(image.writeCompressed(Buffer.alloc(65_536), 512)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await image.close();
    // Header, refcount table and block, L1, L2, and one host cluster for all of them.
    expect(readFileSync(path).length).toBe(6 * 65_536);
  });
});

async function openSource(path: string): Promise<Awaited<ReturnType<typeof openRawSource>> & AsyncDisposable> {
  const source = await openRawSource(path);
  return Object.assign(source, { [Symbol.asyncDispose]: () => source.close() });
}

describe("extended L2 entries", () => {
  test("a small write allocates a subcluster, and a small discard gives one back", async () => {
    const path = folder.file("a.qcow2");
    writeFileSync(folder.file("base"), Buffer.alloc(MIB, 1));
    const backing = { path: "base", format: "raw" } as const;
    await createImage({ path, virtualSizeBytes: MIB, clusterSizeBytes: 65_536, extendedL2: true, backing });
    {
      await using image = await open(path);
      expect(image.subclusterSizeBytes).toBe(2048);
      await image.write(Buffer.alloc(100, 9), 3000);
      await image.discard(8192, 5000);
      expect(image.map(0, 65_536).map(({ offset, kind, depth }) => [offset, kind, depth])).toEqual([
        [0, "data", 1],
        [2048, "data", 0],
        [4096, "data", 1],
        [8192, "zero", 0],
        [12_288, "data", 1],
      ]);
      expect(image.allocatedBytes()).toBe(65_536);
      // The last subcluster that holds data takes its host cluster along.
      await image.discard(2048, 2048);
      expect(image.allocatedBytes()).toBe(0);
      expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
      await image.write(Buffer.alloc(100, 9), 3000);
    }
    if (!hasQemuImg) return;
    qemuCheck(path);
    const map = JSON.parse(qemuImg("map", "--output=json", "-f", "qcow2", path)) as readonly Record<string, unknown>[];
    expect(map.slice(0, 5).map(({ start, depth, zero }) => [start, depth, zero])).toEqual([
      [0, 1, false],
      [2048, 0, false],
      [4096, 1, false],
      [8192, 0, true],
      [12_288, 1, false],
    ]);
    expect(qemuIo(path, "read -P 1 0 2k", "read -P 0 2k 952", "read -P 9 3000 100", "read -P 0 8k 4k")).not.toContain(
      "failed",
    );
  });
});
