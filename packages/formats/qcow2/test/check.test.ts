import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CheckResult, check, createImage, Qcow2Image, repair } from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, qemuIo, temporaryFolder } from "./qemu-tools.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;
const CLUSTER = 4096;

interface QemuVerdict {
  readonly corruptions?: number;
  readonly leaks?: number;
  readonly "total-clusters": number;
  readonly "allocated-clusters"?: number;
  readonly "fragmented-clusters"?: number;
  readonly "compressed-clusters"?: number;
  readonly "image-end-offset": number;
}

function qemuVerdict(path: string): QemuVerdict {
  const { stdout } = spawnSync("qemu-img", ["check", "--output=json", "-f", "qcow2", path], { encoding: "utf8" });
  return JSON.parse(stdout) as QemuVerdict;
}

/** What QEMU counts, from what we found. */
function asQemu(result: CheckResult): QemuVerdict {
  const orAbsent = <Key extends string>(key: Key, value: number): Partial<Record<Key, number>> =>
    value === 0 ? {} : ({ [key]: value } as Partial<Record<Key, number>>);
  return {
    ...orAbsent("corruptions", result.corruptions),
    ...orAbsent("leaks", result.leaks),
    "total-clusters": result.totalClusters,
    ...orAbsent("allocated-clusters", result.allocatedClusters),
    ...orAbsent("fragmented-clusters", result.fragmentedClusters),
    ...orAbsent("compressed-clusters", result.compressedClusters),
    "image-end-offset": result.imageEndBytes,
  };
}

function withoutDetails(verdict: QemuVerdict): QemuVerdict {
  const { corruptions, leaks, "total-clusters": total, "image-end-offset": end } = verdict;
  return {
    ...(corruptions ? { corruptions } : {}),
    ...(leaks ? { leaks } : {}),
    "total-clusters": total,
    ...(verdict["allocated-clusters"] ? { "allocated-clusters": verdict["allocated-clusters"] } : {}),
    ...(verdict["fragmented-clusters"] ? { "fragmented-clusters": verdict["fragmented-clusters"] } : {}),
    ...(verdict["compressed-clusters"] ? { "compressed-clusters": verdict["compressed-clusters"] } : {}),
    "image-end-offset": end,
  };
}

/** An image with data, holes, a snapshot and a bitmap, and the places of its tables. */
async function makeImage(path: string, options: { readonly lazyRefcounts?: boolean } = {}): Promise<void> {
  await createImage({ path, virtualSizeBytes: 8 * MIB, clusterSizeBytes: CLUSTER, ...options });
  await using image = await Qcow2Image.open(path);
  await image.write(Buffer.alloc(300_000, 1), 0);
  await image.snapshots.create({ name: "s" });
  await image.write(Buffer.alloc(100_000, 2), 50_000);
  await image.write(Buffer.alloc(100_000, 3), 4 * MIB);
  await image.bitmaps.create("b", { granularityBytes: 4096 });
  await image.write(Buffer.alloc(5000, 3), 3 * MIB);
}

interface Places {
  readonly bytes: Buffer;
  readonly l1: number;
  readonly l2: number;
  readonly table: number;
  readonly block: number;
}

function placesOf(path: string): Places {
  const bytes = readFileSync(path);
  const at = (position: number): number => Number(bytes.readBigUInt64BE(position) & 0x00ff_ffff_ffff_fe00n);
  const l1 = at(40);
  const table = at(48);
  return { bytes, l1, l2: at(l1), table, block: at(table) };
}

type Damage = readonly [
  name: string,
  damage: (places: Places) => void,
  verdict: "same" | "repairable" | "refused" | "uncounted",
];

/** `same`: no repair is due. `uncounted`: QEMU stops at the damage and does not count on. */
const DAMAGES: readonly Damage[] = [
  ["nothing", () => undefined, "same"],
  // The data of the third guest cluster is the active disk's and the snapshot's: two references.
  [
    "a data cluster counted too often",
    ({ bytes, l2, block }) => {
      const cluster = Number((bytes.readBigUInt64BE(l2 + 16) & 0x00ff_ffff_ffff_fe00n) / BigInt(CLUSTER));
      bytes.writeUInt16BE(7, block + cluster * 2);
    },
    "repairable",
  ],
  [
    "a data cluster not counted",
    ({ bytes, l2, block }) => {
      const cluster = Number((bytes.readBigUInt64BE(l2 + 16) & 0x00ff_ffff_ffff_fe00n) / BigInt(CLUSTER));
      bytes.writeUInt16BE(0, block + cluster * 2);
    },
    "repairable",
  ],
  [
    "an L2 table counted twice",
    ({ bytes, l2, block }) => bytes.writeUInt16BE(2, block + (l2 / CLUSTER) * 2),
    "repairable",
  ],
  ["the header not counted", ({ bytes, block }) => bytes.writeUInt16BE(0, block), "repairable"],
  [
    "a cluster that nobody references counted",
    ({ bytes, block }) => bytes.writeUInt16BE(1, block + 2 * (bytes.length / CLUSTER - 1)),
    "same",
  ],
  [
    "a copied flag too many",
    ({ bytes, l2 }) => bytes.writeUInt8(bytes.readUInt8(l2 + 16) | 0x80, l2 + 16),
    "repairable",
  ],
  ["a copied flag too few in L1", ({ bytes, l1 }) => bytes.writeUInt8(bytes.readUInt8(l1) & 0x7f, l1), "repairable"],
  ["an L2 table dropped", ({ bytes, l1 }) => bytes.fill(0, l1, l1 + 8), "repairable"],
  ["all counts zero", ({ bytes, block }) => bytes.fill(0, block, block + CLUSTER), "repairable"],
  ["no refcount block", ({ bytes, table }) => bytes.fill(0, table, table + 8), "repairable"],
  ["a refcount block past the end", ({ bytes, table }) => bytes.writeBigUInt64BE(1n << 40n, table), "repairable"],
  ["a refcount block that is not aligned", ({ bytes, table }) => bytes.writeUInt8(2, table + 6), "uncounted"],
  ["an L2 entry past the end", ({ bytes, l2 }) => bytes.writeBigUInt64BE((1n << 63n) | (1n << 40n), l2 + 8), "refused"],
  [
    "two guest clusters on one host cluster",
    ({ bytes, l2 }) => bytes.copy(bytes, l2 + 8, l2 + 13 * 8, l2 + 14 * 8),
    "repairable",
  ],
  ["reserved bits", ({ bytes, l2 }) => bytes.writeUInt8(bytes.readUInt8(l2 + 8) | 0x04, l2 + 8), "refused"],
];

describe.skipIf(!hasQemuImg)("a check beside qemu-img check", () => {
  test.each(DAMAGES)("%s", async (_name, damage, verdict) => {
    const path = folder.file("a");
    await makeImage(path);
    const places = placesOf(path);
    damage(places);
    writeFileSync(path, places.bytes);
    const found = await check(path);
    const qemu = withoutDetails(qemuVerdict(path));
    if (verdict === "uncounted") expect([found.corruptions > 0, qemu.corruptions]).toEqual([true, 1]);
    else expect(asQemu(found), found.problems.map(({ text }) => text).join("\n")).toEqual(qemu);
    expect(readFileSync(path).equals(places.bytes)).toBe(true);
    copyFileSync(path, folder.file("b"));
    if (verdict === "refused") {
      await expect(repair(path, { what: "all" })).rejects.toMatchObject({ code: "CORRUPT" });
      expect(readFileSync(path).equals(places.bytes)).toBe(true);
      return;
    }
    await repair(path, { what: "all" });
    expect(await check(path)).toMatchObject({ leaks: 0, corruptions: 0 });
    qemuCheck(path);
    // No byte of the disk has changed by the repair.
    const { status } = spawnSync("qemu-img", ["compare", "-f", "qcow2", "-F", "qcow2", path, folder.file("b")]);
    expect(status).toBe(0);
    await using image = await Qcow2Image.open(path);
    await image.write(Buffer.alloc(MIB, 9), MIB);
    await image.snapshots.delete("s");
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
  });

  test("numbers of images that QEMU made", async () => {
    const raw = folder.file("raw");
    const model = Buffer.alloc(3 * MIB);
    for (let at = 0; at < model.length; at += 40_000) model.writeUInt32BE(at + 1, at);
    writeFileSync(raw, model);
    for (const args of [[], ["-c"], ["-o", "extended_l2=on"], ["-o", "refcount_bits=1"], ["-o", "cluster_size=2M"]]) {
      const path = folder.file("a");
      qemuImg("convert", "-f", "raw", "-O", "qcow2", ...args, raw, path);
      if (args.length === 0) {
        qemuIo(path, "write -P 1 1M 64k", "write -P 1 64k 64k", "discard 2M 512k");
        qemuImg("bitmap", "--add", path, "b0");
        qemuImg("snapshot", "-c", "s", path);
        qemuIo(path, "write -P 1 0 1M");
      }
      expect(asQemu(await check(path)), args.join(" ")).toEqual(withoutDetails(qemuVerdict(path)));
    }
  });

  test("what is flipped at random in a refcount block is found and repaired as QEMU would", async () => {
    const path = folder.file("a");
    await makeImage(path);
    const good = placesOf(path);
    const flips = fc.array(fc.record({ cluster: fc.nat(good.bytes.length / CLUSTER - 1), count: fc.nat(3) }), {
      minLength: 1,
      maxLength: 6,
    });
    const property = fc.asyncProperty(flips, async (changes) => {
      const bytes = Buffer.from(good.bytes);
      for (const { cluster, count } of changes) bytes.writeUInt16BE(count, good.block + cluster * 2);
      writeFileSync(path, bytes);
      expect(asQemu(await check(path))).toEqual(withoutDetails(qemuVerdict(path)));
      const leaks = await repair(path, { what: "leaks" });
      if (leaks.corruptions === 0) expect(await check(path)).toMatchObject({ leaks: 0, corruptions: 0 });
      await repair(path, { what: "all" });
      qemuCheck(path);
    });
    await fc.assert(property, { seed: 77, numRuns: process.env.VDC_DEEP ? 200 : 8 });
  });
});

describe("check and repair", () => {
  test("report progress, can be aborted, and leave images in use alone", async () => {
    const path = folder.file("a");
    await makeImage(path);
    const seen: string[] = [];
    await check(path, { onProgress: ({ doneTables, totalTables }) => seen.push(`${doneTables}/${totalTables}`) });
    expect(seen.at(-1)).toMatch(/^(\d+)\/\1$/);
    await expect(check(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
    await using image = await Qcow2Image.open(path);
    await expect(check(path)).rejects.toMatchObject({ code: "IN_USE" });
    await expect(repair(path, { what: "leaks" })).rejects.toMatchObject({ code: "IN_USE" });
    expect(await check(path, { lock: false })).toMatchObject({ corruptions: 0 });
    expect(image.sizeBytes).toBe(8 * MIB);
  });

  test("a repair takes the mark of corruption away", async () => {
    const path = folder.file("a");
    await makeImage(path);
    const { bytes, block } = placesOf(path);
    bytes.writeUInt8(2, 79);
    bytes.writeUInt16BE(5, block);
    writeFileSync(path, bytes);
    await expect(Qcow2Image.open(path)).rejects.toMatchObject({ code: "CORRUPT" });
    await repair(path, { what: "all" });
    await using image = await Qcow2Image.open(path);
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
  });
});

describe("lazy refcounts", () => {
  test("are left in memory by a flush, marked by the dirty bit, and counted anew after a crash", async () => {
    const path = folder.file("a");
    await makeImage(path, { lazyRefcounts: true });
    const clean = await check(path);
    expect(clean).toMatchObject({ leaks: 0, corruptions: 0 });
    const isDirty = (): boolean => (readFileSync(path).readUInt8(79) & 1) === 1;
    expect(isDirty()).toBe(false);
    const image = await Qcow2Image.open(path);
    expect(image.info().lazyRefcounts).toBe(true);
    expect(isDirty()).toBe(false);
    await image.write(Buffer.alloc(200_000, 4), 6 * MIB);
    expect(isDirty()).toBe(true);
    await image.flush();
    const crashed = folder.file("crashed");
    copyFileSync(path, crashed);
    expect((await check(crashed)).corruptions).toBeGreaterThan(0);
    {
      await using again = await Qcow2Image.open(crashed);
      expect(await again.check()).toMatchObject({ leaks: 0, corruptions: 0 });
      const seen = Buffer.alloc(200_000);
      await again.read(seen, 6 * MIB);
      expect(seen.every((byte) => byte === 4)).toBe(true);
      expect(again.info().lazyRefcounts).toBe(true);
    }
    await image.close();
    expect(isDirty()).toBe(false);
    expect(await check(path)).toMatchObject({ leaks: 0, corruptions: 0 });
    if (hasQemuImg) {
      qemuCheck(path);
      qemuCheck(crashed);
      expect(qemuImg("info", crashed)).toContain("lazy refcounts: true");
    }
  });
});
