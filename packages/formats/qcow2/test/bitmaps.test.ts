import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backingFolder, createImage, inspect, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, qemuIo, temporaryFolder } from "./qemu-tools.ts";
import { RecordingFile, recordingLayer } from "./recording-layer.ts";
import { unsyncedLayer } from "./unsynced-layer.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;

interface QemuBitmap {
  readonly name: string;
  readonly granularity: number;
  readonly flags: readonly string[];
}

function qemuBitmaps(path: string): readonly QemuBitmap[] {
  const info = JSON.parse(qemuImg("info", "--output=json", path)) as {
    "format-specific": { data: { bitmaps?: readonly QemuBitmap[] } };
  };
  return info["format-specific"].data.bitmaps ?? [];
}

const hasNbdInfo: boolean = (() => {
  if (hasQemuImg && spawnSync("nbdinfo", ["--version"]).status === 0) return true;
  console.warn("nbdinfo (package libnbd-bin) is absent: the bits of bitmaps are NOT judged by it");
  return false;
})();

/** The dirty runs as a client of QEMU's server sees them. */
async function nbdDirty(path: string, bitmap: string): Promise<{ offset: number; length: number }[]> {
  const socket = `${path}.sock`;
  const server: ChildProcess = spawn("qemu-nbd", ["-r", "-f", "qcow2", "-B", bitmap, "-k", socket, path], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const exited = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  try {
    await expect.poll(() => existsSync(socket)).toBe(true);
    const uri = `nbd+unix:///?socket=${socket}`;
    const ask = (): string => {
      const args = [`--map=qemu:dirty-bitmap:${bitmap}`, "--json", uri];
      const { stdout, stderr } = spawnSync("nbdinfo", args, { encoding: "utf8" });
      if (stdout === "") throw new Error(stderr);
      return stdout;
    };
    // The socket's file is there a moment before its server listens.
    const stdout = await vi.waitFor(ask, { timeout: 20_000 });
    const map = JSON.parse(stdout) as { offset: number; length: number; type: number }[];
    const runs: { offset: number; length: number }[] = [];
    for (const { offset, length, type } of map) {
      if (type === 0) continue;
      const last = runs.at(-1);
      if (last && last.offset + last.length === offset) last.length += length;
      else runs.push({ offset, length });
    }
    return runs;
  } finally {
    server.kill();
    await exited;
  }
}

describe("persistent dirty bitmaps", () => {
  test("record writes, and are cleared, merged, disabled and deleted", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: 10 * MIB });
    const image = await Qcow2Image.open(path);
    await image.bitmaps.create("all");
    await image.bitmaps.create("fine", { granularityBytes: 512 });
    await image.bitmaps.create("off", { enabled: false });
    await expect(image.bitmaps.create("all")).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    await expect(image.bitmaps.create("x", { granularityBytes: 1000 })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(image.bitmaps.create("x".repeat(1024))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await image.write(Buffer.alloc(1000, 1), 70_000);
    await image.writeZeroes(MIB, 65_536);
    await image.discard(2 * MIB, 65_536);
    await image.writeCompressed(Buffer.alloc(65_536, 3), 3 * MIB);
    const ranges = (name: string, range = {}): unknown[] => [...image.bitmaps.dirtyRanges(name, range)];
    expect(ranges("all")).toEqual([
      { offset: 65_536, length: 65_536 },
      { offset: MIB, length: 65_536 },
      { offset: 2 * MIB, length: 65_536 },
      { offset: 3 * MIB, length: 65_536 },
    ]);
    expect(ranges("fine")[0]).toEqual({ offset: 69_632, length: 1536 });
    expect(ranges("fine", { offset: 70_000, length: 100 })).toEqual([{ offset: 70_000, length: 100 }]);
    expect(ranges("off")).toEqual([]);
    await image.bitmaps.setEnabled("off", true);
    await image.bitmaps.setEnabled("all", false);
    await image.write(Buffer.alloc(1, 1), 9 * MIB);
    expect(ranges("off")).toEqual([{ offset: 9 * MIB, length: 65_536 }]);
    expect(ranges("all")).toHaveLength(4);
    await image.bitmaps.merge("off", ["fine", "all"]);
    expect(ranges("off")).toHaveLength(5);
    await image.bitmaps.clear("fine");
    expect(ranges("fine")).toEqual([]);
    await image.bitmaps.delete("all");
    expect(() => image.bitmaps.dirtyRanges("all")).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    await image.close();
    if (hasQemuImg) {
      qemuCheck(path);
      expect(qemuBitmaps(path)).toEqual([
        { name: "fine", granularity: 512, flags: ["auto"] },
        { name: "off", granularity: 65_536, flags: ["auto"] },
      ]);
    }
    await using again = await Qcow2Image.open(path);
    expect([...again.bitmaps.dirtyRanges("off")]).toHaveLength(5);
    await again.bitmaps.delete("off");
    await again.bitmaps.delete("fine");
    expect(again.bitmaps.list()).toEqual([]);
    expect(await again.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    expect((await inspect(path, {})).features).not.toContain("bitmaps");
  });

  test("a writer that goes away leaves them inconsistent, and nobody trusts them", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB });
    {
      await using image = await Qcow2Image.open(path);
      await image.bitmaps.create("on");
      await image.bitmaps.create("off", { enabled: false });
    }
    const file = new RecordingFile(readFileSync(path));
    const open = (content: RecordingFile): Promise<Qcow2Image> =>
      Qcow2Image.open(path, { fileLayer: recordingLayer(new Map([[path, content]])), lock: false });
    const before = file.content.length;
    const image = await open(file);
    await image.write(Buffer.alloc(10, 1), 0);
    // The mark is durable before anything else reached the file.
    expect(file.events[0]).toMatchObject({ kind: "write" });
    expect(file.events[1]).toEqual({ kind: "sync" });
    expect(file.content.length).toBeGreaterThanOrEqual(before);
    await image.flush();
    const crashed = await open(new RecordingFile(file.content));
    expect(crashed.bitmaps.list()).toEqual([
      { name: "off", granularityBytes: 65_536, enabled: false, inconsistent: false },
      { name: "on", granularityBytes: 65_536, enabled: true, inconsistent: true },
    ]);
    expect(() => crashed.bitmaps.dirtyRanges("on")).toThrow(expect.objectContaining({ code: "BITMAP_INCONSISTENT" }));
    await expect(crashed.bitmaps.clear("on")).rejects.toMatchObject({ code: "BITMAP_INCONSISTENT" });
    await crashed.resize(2 * MIB);
    await crashed.bitmaps.delete("on");
    expect(crashed.bitmaps.list()).toHaveLength(1);
    expect(await crashed.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    await crashed.close();
  });

  test("there is room in the header beside a long backing name, and none is no harm", async () => {
    const name = "b".repeat(200);
    await createImage({ path: folder.file(name), virtualSizeBytes: MIB });
    for (const [clusterSizeBytes, fits] of [
      [65_536, true],
      [512, false],
    ] as const) {
      const path = folder.file(`a${clusterSizeBytes}`);
      const nameHere = fits ? name : "base";
      if (!fits) await createImage({ path: folder.file("base"), virtualSizeBytes: MIB });
      await createImage({
        path,
        virtualSizeBytes: MIB,
        clusterSizeBytes,
        backing: { path: nameHere, format: "qcow2" },
      });
      const image = await Qcow2Image.open(path, { resolveBacking: backingFolder(folder.path) });
      for (let index = 0; index < 3; index++) await image.bitmaps.create(`bitmap ${index}`);
      expect(image.backing?.path).toBe(nameHere);
      await image.close();
      await using again = await Qcow2Image.open(path, { resolveBacking: backingFolder(folder.path) });
      expect(again.bitmaps.list()).toHaveLength(3);
      expect(again.backing?.path).toBe(nameHere);
      if (hasQemuImg) {
        await again.close();
        qemuCheck(path);
        expect(qemuBitmaps(path)).toHaveLength(3);
      }
    }
  });

  test("follow the size of the disk", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB, clusterSizeBytes: 512 });
    const image = await Qcow2Image.open(path);
    await image.bitmaps.create("a", { granularityBytes: 512 });
    await image.write(Buffer.alloc(MIB, 1), 0);
    await image.resize(5 * MIB);
    expect([...image.bitmaps.dirtyRanges("a")]).toEqual([{ offset: 0, length: MIB }]);
    await image.write(Buffer.alloc(512, 1), 5 * MIB - 512);
    await image.resize(MIB / 2, { allowShrink: true });
    expect([...image.bitmaps.dirtyRanges("a")]).toEqual([{ offset: 0, length: MIB / 2 }]);
    await image.close();
    if (hasQemuImg) {
      qemuCheck(path);
      expect(qemuBitmaps(path)).toHaveLength(1);
    }
    await using again = await Qcow2Image.open(path);
    expect([...again.bitmaps.dirtyRanges("a")]).toEqual([{ offset: 0, length: MIB / 2 }]);
    await again.snapshots.create();
    await again.bitmaps.clear("a");
    await again.snapshots.apply("1");
    expect([...again.bitmaps.dirtyRanges("a")]).toEqual([{ offset: 0, length: MIB / 2 }]);
  });
});

describe.skipIf(!hasQemuImg)("bitmaps between this engine and QEMU", () => {
  test("QEMU's are kept right, and QEMU goes on with them", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", path, "64M");
    qemuImg("bitmap", "--add", "-g", "64k", path, "b0");
    qemuImg("bitmap", "--add", "--disable", path, "frozen");
    qemuIo(path, "write -P 1 0 64k");
    {
      await using image = await Qcow2Image.open(path);
      expect(image.bitmaps.list()).toEqual([
        { name: "b0", granularityBytes: 65_536, enabled: true, inconsistent: false },
        { name: "frozen", granularityBytes: 65_536, enabled: false, inconsistent: false },
      ]);
      await image.write(Buffer.alloc(100, 2), 10 * MIB);
    }
    qemuCheck(path);
    qemuIo(path, "write -P 3 20M 64k");
    {
      await using image = await Qcow2Image.open(path, { readOnly: true });
      expect([...image.bitmaps.dirtyRanges("b0")]).toEqual([
        { offset: 0, length: 65_536 },
        { offset: 10 * MIB, length: 65_536 },
        { offset: 20 * MIB, length: 65_536 },
      ]);
      expect([...image.bitmaps.dirtyRanges("frozen")]).toEqual([]);
    }
    qemuImg("bitmap", "--merge", "b0", path, "frozen");
    qemuImg("bitmap", "--remove", path, "b0");
    await using image = await Qcow2Image.open(path);
    expect([...image.bitmaps.dirtyRanges("frozen")]).toHaveLength(3);
  });

  test.skipIf(!hasNbdInfo)("a client of QEMU's server sees the bits that were set here", async () => {
    const property = fc.asyncProperty(
      fc.array(fc.record({ at: fc.nat(3 * MIB), length: fc.integer({ min: 1, max: 300_000 }) }), { maxLength: 8 }),
      fc.constantFrom(512, 4096, 65_536),
      fc.constantFrom(9, 16),
      async (writes, granularityBytes, clusterBits) => {
        const own = temporaryFolder();
        try {
          const path = own.file("a");
          const virtualSizeBytes = 3 * MIB + 512;
          await createImage({ path, virtualSizeBytes, clusterSizeBytes: 2 ** clusterBits, fileLayer: unsyncedLayer });
          const image = await Qcow2Image.open(path, { fileLayer: unsyncedLayer });
          await image.bitmaps.create("b", { granularityBytes });
          const bits = new Set<number>();
          for (const { at, length: wanted } of writes) {
            const length = Math.min(wanted, virtualSizeBytes - at);
            await image.write(Buffer.alloc(length, 1), at);
            for (let bit = Math.floor(at / granularityBytes); bit * granularityBytes < at + length; bit++)
              bits.add(bit);
          }
          await image.close();
          const expected: { offset: number; length: number }[] = [];
          for (const bit of [...bits].sort((left, right) => left - right)) {
            const offset = bit * granularityBytes;
            const length = Math.min(granularityBytes, virtualSizeBytes - offset);
            const last = expected.at(-1);
            if (last && last.offset + last.length === offset) last.length += length;
            else expected.push({ offset, length });
          }
          await using again = await Qcow2Image.open(path, { readOnly: true });
          expect([...again.bitmaps.dirtyRanges("b")]).toEqual(expected);
          await again.close();
          expect(await nbdDirty(path, "b")).toEqual(expected);
          qemuCheck(path);
        } finally {
          own.remove();
        }
      },
    );
    await fc.assert(property, { seed: 5, numRuns: process.env.VDC_DEEP ? 100 : 4 });
  });

  test("a directory that is damaged costs the bitmaps and not the disk", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", path, "4M");
    qemuImg("bitmap", "--add", path, "b0");
    const bytes = readFileSync(path);
    const at = bytes.indexOf(Buffer.from([0x23, 0x85, 0x28, 0x75]));
    bytes.writeBigUInt64BE(1n << 40n, at + 24);
    writeFileSync(path, bytes);
    {
      await using image = await Qcow2Image.open(path);
      expect(() => image.bitmaps.list()).toThrow(expect.objectContaining({ code: "CORRUPT" }));
      await image.write(Buffer.alloc(100, 1), 0);
    }
    qemuCheck(path, { allowLeaks: true });
    expect(qemuBitmaps(path)).toEqual([]);
  });
});
