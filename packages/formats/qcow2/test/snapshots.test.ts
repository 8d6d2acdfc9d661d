import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backingFolder, createImage, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, qemuIo, temporaryFolder } from "./qemu-tools.ts";
import { unsyncedLayer } from "./unsynced-layer.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;

async function contentOf(source: {
  readonly sizeBytes: number;
  read(to: Buffer, at: number): Promise<void>;
}): Promise<Buffer> {
  const content = Buffer.alloc(source.sizeBytes, 0xaa);
  await source.read(content, 0);
  return content;
}

interface QemuSnapshot {
  readonly id: string;
  readonly name: string;
}

function qemuSnapshots(path: string): readonly QemuSnapshot[] {
  const info = JSON.parse(qemuImg("info", "--output=json", path)) as { snapshots?: readonly QemuSnapshot[] };
  return info.snapshots ?? [];
}

describe("internal snapshots", () => {
  test("are made, opened, applied and deleted while the image is written", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: 4 * MIB });
    const image = await Qcow2Image.open(path);
    await image.write(Buffer.alloc(MIB, 1), 0);
    const first = await image.snapshots.create({ name: "first", createdAt: new Date(1_700_000_000_123) });
    expect(first).toEqual({
      id: "1",
      name: "first",
      createdAt: new Date(1_700_000_000_123),
      diskBytes: 4 * MIB,
      vmStateBytes: 0,
    });
    await image.write(Buffer.alloc(MIB, 2), MIB / 2);
    const pending = image.flush();
    const second = await image.snapshots.create();
    await pending;
    await image.write(Buffer.alloc(MIB, 3), 0);
    expect(image.snapshots.list().map(({ id, name }) => [id, name])).toEqual([
      ["1", "first"],
      ["2", "2"],
    ]);
    expect(image.snapshots.list()[0]).toEqual(first);
    {
      await using view = image.snapshots.open("first");
      const seen = await contentOf(view);
      expect(seen.subarray(0, MIB).every((byte) => byte === 1)).toBe(true);
      expect(seen.subarray(MIB).every((byte) => byte === 0)).toBe(true);
      await expect(image.snapshots.delete("first")).rejects.toMatchObject({ code: "IN_USE" });
      await image.write(Buffer.alloc(MIB, 9), 0);
      expect((await contentOf(view)).equals(seen)).toBe(true);
    }
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    await image.snapshots.apply(second.id);
    const applied = await contentOf(image);
    expect(applied.readUInt8(0)).toBe(1);
    expect(applied.readUInt8(MIB)).toBe(2);
    await image.write(Buffer.alloc(10, 7), 0);
    await image.snapshots.delete("first");
    await expect(image.snapshots.delete("first")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await image.close();
    if (hasQemuImg) {
      qemuCheck(path);
      expect(qemuSnapshots(path)).toMatchObject([{ id: "2", name: "2" }]);
      qemuIo(path, "read -P 7 0 10", "read -P 2 1M 512k");
    }
    await using again = await Qcow2Image.open(path);
    await again.snapshots.delete("2");
    expect(again.snapshots.list()).toEqual([]);
    expect(await again.check()).toMatchObject({ leaks: 0, corruptions: 0 });
  });

  test("keep the size that the disk had", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB, clusterSizeBytes: 512 });
    const image = await Qcow2Image.open(path);
    await image.write(Buffer.alloc(MIB, 1), 0);
    await image.snapshots.create({ name: "small" });
    await image.resize(8 * MIB);
    await image.write(Buffer.alloc(MIB, 2), 7 * MIB);
    await image.snapshots.create({ name: "large" });
    await image.resize(MIB / 2, { allowShrink: true });
    expect(image.snapshots.open("large").sizeBytes).toBe(8 * MIB);
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    await image.snapshots.apply("large");
    expect(image.sizeBytes).toBe(8 * MIB);
    expect((await contentOf(image)).readUInt8(7 * MIB)).toBe(2);
    await image.snapshots.apply("small");
    expect(image.sizeBytes).toBe(MIB);
    expect((await contentOf(image)).every((byte) => byte === 1)).toBe(true);
    await image.close();
    if (hasQemuImg) qemuCheck(path);
  });

  test("hold what a flatten would take from them, so it is refused", async () => {
    await createImage({ path: folder.file("base"), virtualSizeBytes: MIB });
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB, backing: { path: "base", format: "qcow2" } });
    await using image = await Qcow2Image.open(path, { resolveBacking: backingFolder(folder.path) });
    await image.snapshots.create();
    await expect(image.flatten()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("are refused where a count cannot hold them, and nothing has changed then", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB, refcountBits: 1 });
    await using image = await Qcow2Image.open(path);
    await image.write(Buffer.alloc(300_000, 4), 0);
    await expect(image.snapshots.create()).rejects.toMatchObject({ code: "REFCOUNT_LIMIT" });
    await image.write(Buffer.alloc(10, 5), 0);
    expect(image.snapshots.list()).toEqual([]);
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    await expect(image.snapshots.create({ name: "x".repeat(70_000) })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });
});

describe.skipIf(!hasQemuImg)("snapshots that QEMU made, and QEMU's with ours", () => {
  test("each deletes and applies what the other made", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", path, "4M");
    qemuIo(path, "write -P 1 0 2M");
    qemuImg("snapshot", "-c", "theirs", path);
    {
      await using image = await Qcow2Image.open(path);
      await image.write(Buffer.alloc(MIB, 2), 0);
      await image.snapshots.create({ name: "ours" });
      await image.write(Buffer.alloc(MIB, 3), MIB);
    }
    qemuCheck(path);
    const read = (name: string): Buffer => {
      qemuImg("convert", "-f", "qcow2", "-O", "raw", "-l", `snapshot.name=${name}`, path, folder.file("raw"));
      return readFileSync(folder.file("raw"));
    };
    expect(read("theirs").readUInt8(0)).toBe(1);
    expect(read("ours").readUInt8(0)).toBe(2);
    expect(read("ours").readUInt8(MIB)).toBe(1);
    qemuImg("snapshot", "-a", "ours", path);
    qemuCheck(path);
    qemuIo(path, "read -P 2 0 1M", "read -P 1 1M 1M");
    {
      await using image = await Qcow2Image.open(path);
      await image.snapshots.apply("theirs");
      expect((await contentOf(image)).readUInt8(0)).toBe(1);
    }
    qemuCheck(path);
    qemuImg("snapshot", "-d", "ours", path);
    qemuCheck(path);
    {
      await using image = await Qcow2Image.open(path);
      await image.snapshots.delete("theirs");
    }
    qemuCheck(path);
    qemuIo(path, "read -P 1 0 2M");
  });

  test("what another program put into an entry is kept byte for byte", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", path, "1M");
    qemuImg("snapshot", "-c", "one", path);
    const bytes = Buffer.concat([readFileSync(path), Buffer.alloc(4096)]);
    const table = Number(bytes.readBigUInt64BE(64));
    const known = bytes.readUInt32BE(table + 36);
    const entry = Buffer.from(bytes.subarray(table, table + 40 + known));
    const text = Buffer.from(bytes.subarray(table + 40 + known, table + 48 + known));
    // Forty bytes more than is known.
    entry.writeUInt32BE(known + 40, 36);
    const grown = Buffer.concat([entry, Buffer.alloc(40, 0x5a), text]);
    grown.copy(bytes, table);
    writeFileSync(path, bytes);
    {
      await using image = await Qcow2Image.open(path);
      await image.snapshots.create({ name: "two" });
      await image.snapshots.delete("two");
      await image.snapshots.create({ name: "three" });
      expect(image.snapshots.list().map(({ name }) => name)).toEqual(["one", "three"]);
    }
    const after = readFileSync(path);
    const now = Number(after.readBigUInt64BE(64));
    expect(after.subarray(now, now + grown.length).equals(grown)).toBe(true);
    qemuCheck(path);
  });

  test("version 2, compressed clusters and extended L2 entries", async () => {
    const model = Buffer.alloc(2 * MIB);
    for (let at = 0; at < model.length; at += 4096) model.writeUInt32BE(at, at);
    writeFileSync(folder.file("raw"), model);
    for (const [name, args] of [
      ["v2", ["-o", "compat=0.10"]],
      ["compressed", ["-c"]],
      ["extended", ["-o", "extended_l2=on"]],
      ["lazy", ["-o", "lazy_refcounts=on"]],
    ] as const) {
      const path = folder.file(name);
      qemuImg("convert", "-f", "raw", "-O", "qcow2", ...args, folder.file("raw"), path);
      const image = await Qcow2Image.open(path);
      await image.snapshots.create({ name: "s" });
      await image.write(Buffer.alloc(700_000, 8), 100_000);
      await image.snapshots.create({ name: "t" });
      await image.discard(0, MIB);
      expect((await contentOf(image.snapshots.open("s"))).equals(model), name).toBe(true);
      await image.snapshots.delete("t");
      await image.snapshots.apply("s");
      expect((await contentOf(image)).equals(model), name).toBe(true);
      await image.close();
      qemuCheck(path);
      qemuImg("compare", "-f", "qcow2", "-F", "raw", path, folder.file("raw"));
      expect(execFileSync("qemu-img", ["info", path], { encoding: "utf8" })).not.toContain("corrupt: true");
    }
  });
});

describe("any order of snapshots and writes", () => {
  type Step =
    | { readonly op: "write" | "discard"; readonly at: number; readonly length: number; readonly byte: number }
    | { readonly op: "create" | "reopen" }
    | { readonly op: "delete" | "apply"; readonly which: number }
    | { readonly op: "resize"; readonly sectors: number };
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        op: fc.constantFrom("write" as const, "write" as const, "discard" as const),
        at: fc.nat(200_000),
        length: fc.integer({ min: 1, max: 20_000 }),
        byte: fc.integer({ min: 1, max: 255 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ op: fc.constantFrom("create" as const, "create" as const, "reopen" as const) }),
    },
    { weight: 4, arbitrary: fc.record({ op: fc.constantFrom("delete" as const, "apply" as const), which: fc.nat(5) }) },
    {
      weight: 2,
      arbitrary: fc.record({ op: fc.constant("resize" as const), sectors: fc.integer({ min: 1, max: 500 }) }),
    },
  );
  test("the disk and every snapshot read as a model says", async () => {
    const property = fc.asyncProperty(
      fc.constantFrom(9, 12, 16),
      fc.boolean(),
      fc.boolean(),
      fc.array(step, { minLength: 5, maxLength: 30, size: "max" }),
      fc.nat(3),
      async (clusterBits, extended, lazyRefcounts, steps, judge) => {
        const own = temporaryFolder();
        try {
          const path = own.file("a");
          const extendedL2 = extended && clusterBits >= 14;
          const virtualSizeBytes = 100 * 512;
          await createImage({
            path,
            virtualSizeBytes,
            clusterSizeBytes: 2 ** clusterBits,
            extendedL2,
            lazyRefcounts,
            fileLayer: unsyncedLayer,
          });
          const options = { fileLayer: unsyncedLayer, cacheBytes: 4096 };
          let image = await Qcow2Image.open(path, options);
          let model: Buffer = Buffer.alloc(virtualSizeBytes);
          const snapshots = new Map<string, Buffer>();
          for (const action of steps) {
            const ids = [...snapshots.keys()];
            switch (action.op) {
              case "write":
              case "discard": {
                const at = action.at % model.length;
                const length = Math.min(action.length, model.length - at);
                if (action.op === "write") {
                  await image.write(Buffer.alloc(length, action.byte), at);
                  model.fill(action.byte, at, at + length);
                } else {
                  await image.discard(at, length);
                  await image.read(model, 0);
                }
                break;
              }
              case "create":
                snapshots.set((await image.snapshots.create()).id, Buffer.from(model));
                break;
              case "resize": {
                const size = action.sectors * 512;
                await image.resize(size, { allowShrink: true });
                const next = Buffer.alloc(size);
                model.copy(next);
                model = next;
                break;
              }
              case "reopen":
                await image.close();
                image = await Qcow2Image.open(path, options);
                break;
              default: {
                const id = ids[action.which % ids.length];
                if (id === undefined) break;
                if (action.op === "delete") {
                  await image.snapshots.delete(id);
                  snapshots.delete(id);
                } else {
                  await image.snapshots.apply(id);
                  model = Buffer.from(snapshots.get(id) ?? model);
                }
              }
            }
            expect((await contentOf(image)).equals(model), action.op).toBe(true);
            for (const [id, content] of snapshots) {
              await using view = image.snapshots.open(id);
              expect((await contentOf(view)).equals(content), `${action.op}: snapshot ${id}`).toBe(true);
            }
            const { leaks, corruptions, problems } = await image.check();
            expect({ leaks, corruptions, problems }).toEqual({ leaks: 0, corruptions: 0, problems: [] });
          }
          await image.close();
          if (judge === 0 && hasQemuImg) {
            qemuCheck(path);
            writeFileSync(own.file("model"), model);
            qemuImg("compare", "-f", "qcow2", "-F", "raw", path, own.file("model"));
          }
        } finally {
          own.remove();
        }
      },
    );
    await fc.assert(property, { seed: 31, numRuns: process.env.VDC_DEEP ? 600 : 40 });
  });
});
