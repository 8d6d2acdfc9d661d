import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { isVdcError } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import { expect, it } from "vitest";
import { openDataRecovery } from "../src/open-data-recovery.ts";
import { attachedVolume, context, createTestRecovery, kib, mib } from "./test-recovery.ts";

const random = createTestRandom(23);
const below = (limit: number): number => Math.floor(random.next() * limit);
const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;

/** Damages one file in one of many ways. */
function damage(files: readonly string[]): string {
  const path = pick(files);
  const content = readFileSync(path);
  const kind = pick(["flip", "flip", "field", "truncate", "extend", "swap", "empty", "remove", "noise"] as const);
  switch (kind) {
    case "flip":
      for (let n = below(4); n >= 0; n--) content[below(content.length)] = below(256);
      break;
    case "field":
      if (content.length >= 4) content.writeUInt32LE(pick([0, 1, 0x7fff_ffff, 0xffff_ffff]), below(content.length - 3));
      break;
    case "truncate":
      truncateSync(path, below(content.length + 1));
      return `${kind} ${path}`;
    case "extend":
      writeFileSync(path, Buffer.concat([content, Buffer.alloc(below(200), below(256))]));
      return `${kind} ${path}`;
    case "swap":
      writeFileSync(path, readFileSync(pick(files)));
      return `${kind} ${path}`;
    case "empty":
      truncateSync(path, 0);
      return `${kind} ${path}`;
    case "remove":
      rmSync(path);
      return `${kind} ${path}`;
    case "noise":
      for (let at = 0; at < content.length; at++) content[at] = below(256);
      break;
  }
  writeFileSync(path, content);
  return `${kind} ${path}`;
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

it("answers a damaged repository with coded errors, and never restores anything else than what was backed up", async () => {
  await using test = await createTestRecovery();
  const { volumeId, device } = await attachedVolume(test, "disk", 2 * mib);
  const disks = [{ diskId: "d", storage: "pool", volumeId }];
  const contents = new Map<string, Buffer>();
  for (let n = 0; n < 3; n++) {
    for (let at = 0; at < 6; at++) {
      const block = Buffer.from(Array.from({ length: 4 * kib }, () => below(256)));
      await device.write(below(512) * 4 * kib, block);
    }
    const point = await test.provider.createRecoveryPoint({ name: `p${n}`, subject: "s", disks }, context());
    contents.set(point.recoveryPointId, Buffer.from(await device.read(0, 2 * mib)));
  }
  const refused = new Map<string, number>();
  let harmed = 0;
  for (let round = 0; round < (process.env.VDC_DEEP ? 3000 : 60); round++) {
    const directory = join(test.folder, "damaged");
    cpSync(test.directory, directory, { recursive: true });
    const how = damage(filesIn(directory));
    const written = new Map<string, Buffer>();
    const tolerate = async <T>(run: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await run();
      } catch (error) {
        const coded = isVdcError(error) && !["UNKNOWN", "INTERNAL", "UNAVAILABLE"].includes(error.code);
        expect(coded, `${how}: ${error instanceof Error ? error.stack : error}`).toBe(true);
        if (isVdcError(error)) refused.set(error.code, (refused.get(error.code) ?? 0) + 1);
        return undefined;
      }
    };
    await tolerate(async () => {
      await using opened = await openDataRecovery({
        directory,
        host: "mover",
        // A restore goes into memory.
        openDevice: async (transport) => {
          const key = transport.kind === "nbd-unix" ? transport.exportName : "";
          const disk = Buffer.alloc(2 * mib);
          written.set(key, disk);
          return {
            sizeBytes: disk.length,
            read: async () => {},
            write: async (source, offset) => void source.copy(disk, offset),
            writeZeroes: async (offset, length) => void disk.fill(0, offset, offset + length),
            flush: async () => {},
            close: async () => {},
          };
        },
        storage: { get: () => test.storage, has: () => true, names: () => ["pool"] },
      });
      const { provider } = opened;
      const report = await provider.verify({}, context());
      for (const [recoveryPointId, content] of contents) {
        await tolerate(async () => {
          written.clear();
          const name = `r${round}-${recoveryPointId.slice(0, 6)}`;
          const target = { kind: "new", storage: "pool", name } as const;
          const restore = { recoveryPointId, disks: [{ diskId: "d", target }] };
          const { disks: restored } = await provider.restore(restore, context());
          const [disk] = [...written.values()];
          expect(disk?.equals(content), how).toBe(true);
          await test.storage.deleteVolume({ volumeId: restored[0]?.volumeId ?? "" });
        });
      }
      harmed += report.damages.length > 0 ? 1 : 0;
      await tolerate(() => provider.status());
      await tolerate(() => provider.prune({ keep: { last: 1 } }, context()));
      await tolerate(() => provider.createRecoveryPoint({ name: "new", subject: "s", disks }, context()));
    });
    rmSync(directory, { recursive: true, force: true });
  }
  expect(harmed).toBeGreaterThan(3);
  expect(refused.get("DATA_LOSS")).toBeGreaterThan(5);
  // Nothing that a damaged repository made anybody do is left.
  const { items } = await test.storage.listVolumes({});
  expect(items.map(({ name }) => name)).toEqual(["disk"]);
});

it("takes no more memory than a blob may have for one that says it is larger", async () => {
  await using test = await createTestRecovery();
  const { volumeId, device } = await attachedVolume(test, "disk", mib);
  await device.write(0, Buffer.alloc(mib, "text "));
  const disks = [{ diskId: "d", storage: "pool", volumeId }];
  await test.provider.createRecoveryPoint({ name: "p", subject: "s", disks }, context());
  const [pack = ""] = readdirSync(join(test.directory, "packs"));
  const content = readFileSync(join(test.directory, "packs", pack));
  // The first blob becomes a bomb: 1 GiB of zeroes in some bytes.
  const bomb = zstdCompressSync(Buffer.alloc(2 ** 27));
  bomb.copy(content, 15 + 44, 0, Math.min(bomb.length, content.readUInt32LE(15 + 36)));
  writeFileSync(join(test.directory, "packs", pack), content);
  await test.reopen();
  const before = process.memoryUsage().rss;
  const { damages } = await test.provider.verify({}, context());
  expect(damages.length).toBeGreaterThan(0);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * mib);
});
