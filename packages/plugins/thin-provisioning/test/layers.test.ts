import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, linkSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { StorageProvider, VolumeTransport } from "@vdc-os/core/storage/v1";
import type { NbdClient } from "@vdc-os/nbd";
import { createImageSync } from "@vdc-os/qcow2";
import { describe, expect, it } from "vitest";
import { layerName } from "../src/pool-layout.ts";
import { formatRecord } from "../src/volume-record.ts";
import { writeFileAtomic } from "@vdc-os/core/local";
import { hasQemu, qemuCheck, qemuImg } from "./qemu-tools.ts";
import { connectTo, context, createTestPool, mib, type TestPool } from "./test-pool.ts";

const block = 65_536;

async function fill(client: NbdClient, at: number, value: number, blocks = 1): Promise<void> {
  await client.write(Buffer.alloc(blocks * block, value), at * block);
}

async function valueAt(client: NbdClient, at: number): Promise<number> {
  const data = Buffer.alloc(block);
  await client.read(data, at * block);
  const [first = 0] = data;
  expect(data.every((byte) => byte === first)).toBe(true);
  return first;
}

async function volumeOn(
  test: TestPool,
  name = "disk",
): Promise<{ volumeId: string; client: NbdClient; detach: () => Promise<void> }> {
  const { volumeId } = await test.provider.createVolume({ name, capacityBytes: 8 * mib }, context());
  const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
  const client = await connectTo(await test.provider.attachVolume(attach, context()));
  const detach = async (): Promise<void> => {
    await client.close();
    await test.provider.detachVolume(attach, context());
  };
  return { volumeId, client, detach };
}

function snapshots(test: TestPool): NonNullable<NonNullable<StorageProvider["facets"]>["snapshots"]> {
  return test.provider.facets.snapshots;
}

describe("layers", () => {
  it("are taken, read, merged and reverted under a VM that writes, and its content is never another", async () => {
    await using test = await createTestPool("process");
    const { volumeId, client, detach } = await volumeOn(test);
    const facet = snapshots(test);
    await fill(client, 0, 1, 8);
    const first = await facet.createSnapshot({ name: "first", volumeId }, context());
    await fill(client, 1, 2, 2);
    await client.writeZeroes(5 * block, block);
    const second = await facet.createSnapshot({ name: "second", volumeId }, context());
    await fill(client, 2, 3, 2);
    const third = await facet.createSnapshot({ name: "third", volumeId }, context());
    await fill(client, 7, 4);
    const expected = {
      first: [1, 1, 1, 1, 1, 1, 1, 1, 0],
      second: [1, 2, 2, 1, 1, 0, 1, 1, 0],
      third: [1, 2, 3, 3, 1, 0, 1, 1, 0],
    };
    const readAll = async (reader: NbdClient): Promise<number[]> => {
      const values: number[] = [];
      for (let at = 0; at < 9; at++) values.push(await valueAt(reader, at));
      return values;
    };
    for (const { snapshotId, name } of [first, second, third]) {
      const reading = await facet.attachSnapshot({ snapshotId, host: "host-b" }, context());
      const reader = await connectTo(reading);
      expect(await readAll(reader)).toEqual(expected[name as "first"]);
      await expect(reader.write(Buffer.alloc(512), 0)).rejects.toThrow();
      await reader.close();
    }
    // What is read is served again when the process was killed.
    await test.hosts[1].kill();
    await test.hosts[1].restart();
    const again = await connectTo(
      await facet.attachSnapshot({ snapshotId: second.snapshotId, host: "host-b" }, context()),
    );
    expect(await readAll(again)).toEqual(expected.second);
    await expect(facet.deleteSnapshot({ snapshotId: second.snapshotId }, context())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      blockers: [{ kind: "host", name: "host-b" }],
    });
    // A layer below one that is being read goes into it.
    await facet.detachSnapshot({ snapshotId: first.snapshotId, host: "host-b" }, context());
    await facet.deleteSnapshot({ snapshotId: first.snapshotId }, context());
    expect(await readAll(again)).toEqual(expected.second);
    await again.close();
    const overlay = await test.provider.facets.layering.createOverlay(
      { name: "clone", parent: { kind: "snapshot", snapshotId: third.snapshotId } },
      context(),
    );
    expect(overlay.parent).toEqual({ kind: "snapshot", snapshotId: third.snapshotId });
    await expect(facet.deleteSnapshot({ snapshotId: third.snapshotId }, context())).rejects.toMatchObject({
      blockers: [
        { kind: "volume", name: "clone" },
        { kind: "host", name: "host-b" },
      ],
    });
    await facet.detachSnapshot({ snapshotId: second.snapshotId, host: "host-b" }, context());
    await facet.deleteSnapshot({ snapshotId: second.snapshotId }, context());
    const now = [1, 2, 3, 3, 1, 0, 1, 4, 0];
    expect(await readAll(client)).toEqual(now);
    const cloned = await connectTo(
      await test.provider.attachVolume(
        { volumeId: overlay.volumeId, host: "host-b", access: "readWrite", generation: 1 },
        context(),
      ),
    );
    expect(await readAll(cloned)).toEqual(expected.third);
    await fill(cloned, 8, 9);
    await test.provider.facets.layering.copyUp({ volumeId: overlay.volumeId }, context());
    expect(await readAll(cloned)).toEqual([...expected.third.slice(0, 8), 9]);
    await cloned.close();
    await test.provider.detachVolume({ volumeId: overlay.volumeId, host: "host-b", generation: 1 }, context());
    await facet.detachSnapshot({ snapshotId: third.snapshotId, host: "host-b" }, context());
    await facet.deleteSnapshot({ snapshotId: third.snapshotId }, context());
    expect(await readAll(client)).toEqual(now);
    const folder = test.pool.layout.volume(volumeId);
    expect(readdirSync(folder).filter((name) => name.endsWith(".qcow2"))).toEqual(["disk.qcow2"]);
    await detach();
    if (hasQemu) {
      qemuCheck(test.pool.layout.image(volumeId));
      qemuCheck(test.pool.layout.image(overlay.volumeId));
    }
  });

  it("let go of a parent once it is copied up, also those that are open for what reads through snapshots", async () => {
    await using test = await createTestPool("process");
    const { layering } = test.provider.facets;
    const parent = await volumeOn(test, "parent");
    await fill(parent.client, 0, 1, 2);
    await parent.detach();
    const source = { kind: "volume", volumeId: parent.volumeId } as const;
    const { volumeId } = await layering.createOverlay({ name: "child", parent: source }, context());
    const snapshot = await snapshots(test).createSnapshot({ name: "of-child", volumeId }, context());
    const below = { kind: "snapshot", snapshotId: snapshot.snapshotId } as const;
    const grandchild = await layering.createOverlay({ name: "grandchild", parent: below }, context());
    const attach = { volumeId: grandchild.volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const reader = await connectTo(await test.provider.attachVolume(attach, context()));
    expect(await valueAt(reader, 0)).toBe(1);

    const read = { snapshotId: snapshot.snapshotId, host: "host-b" };
    await snapshots(test).attachSnapshot(read, context());
    await expect(layering.copyUp({ volumeId }, context())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      blockers: [{ kind: "host", name: "host-b" }],
    });
    expect((await test.provider.getVolume({ volumeId }, context())).parent).toEqual(source);
    await snapshots(test).detachSnapshot(read, context());

    expect((await layering.copyUp({ volumeId }, context())).parent).toBeUndefined();
    const again = { volumeId: parent.volumeId, host: "host-a", access: "readWrite", generation: 2 } as const;
    const writer = await connectTo(await test.provider.attachVolume(again, context()));
    await fill(writer, 0, 7, 2);
    expect([await valueAt(reader, 0), await valueAt(reader, 1), await valueAt(writer, 0)]).toEqual([1, 1, 7]);
    await writer.close();
    await reader.close();
  });

  it("keep a snapshot that two branches lie on until one is gone", async () => {
    await using test = await createTestPool("here");
    const { volumeId, client, detach } = await volumeOn(test);
    const facet = snapshots(test);
    await fill(client, 0, 1, 4);
    const base = await facet.createSnapshot({ name: "base", volumeId }, context());
    await fill(client, 1, 2);
    const left = await facet.createSnapshot({ name: "left", volumeId }, context());
    await expect(facet.revertToSnapshot({ volumeId, snapshotId: base.snapshotId }, context())).rejects.toMatchObject({
      blockers: [{ kind: "host", name: "host-a" }],
    });
    await detach();
    await facet.revertToSnapshot({ volumeId, snapshotId: base.snapshotId }, context());
    await facet.deleteSnapshot({ snapshotId: base.snapshotId }, context());
    expect(existsSync(test.pool.layout.layer(volumeId, base.snapshotId))).toBe(true);
    await expect(facet.getSnapshot({ snapshotId: base.snapshotId }, context())).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await test.reopen();
    await snapshots(test).revertToSnapshot({ volumeId, snapshotId: left.snapshotId }, context());
    expect(existsSync(test.pool.layout.layer(volumeId, base.snapshotId))).toBe(false);
    const attach = { volumeId, host: "host-a", access: "readOnly", generation: 2 } as const;
    const reader = await connectTo(await test.provider.attachVolume(attach, context()));
    expect([await valueAt(reader, 0), await valueAt(reader, 1), await valueAt(reader, 4)]).toEqual([1, 2, 0]);
    await reader.close();
  });

  it.skipIf(!hasQemu)("are files that QEMU finds sound, and reads as the snapshots are read", async () => {
    await using test = await createTestPool("here");
    const { volumeId, client, detach } = await volumeOn(test);
    const facet = snapshots(test);
    const ids: string[] = [];
    for (let round = 1; round <= 4; round++) {
      for (let at = 0; at < 20; at++)
        await client.write(Buffer.alloc(5000, round * 20 + at), ((at * 7 + round * 3) % 120) * block + round * 777);
      await client.writeZeroes((round * 11 * block) % (8 * mib), 3 * block);
      const { snapshotId } = await facet.createSnapshot({ name: `s-${round}`, volumeId }, context());
      ids.push(snapshotId);
      expect(statSync(test.pool.layout.layer(volumeId, snapshotId)).mode & 0o777).toBe(0o444);
    }
    const raws = ids.map((snapshotId) => join(test.folder, `${snapshotId}.raw`));
    for (const [index, snapshotId] of ids.entries()) {
      const layer = test.pool.layout.layer(volumeId, snapshotId);
      qemuCheck(layer);
      qemuImg("convert", "-f", "qcow2", "-O", "raw", layer, raws[index] as string);
      const reading = await facet.attachSnapshot({ snapshotId, host: "host-b" }, context());
      const reader = await connectTo(reading);
      const data = Buffer.alloc(8 * mib);
      await reader.read(data, 0);
      const copy = join(test.folder, "copy.raw");
      execFileSync("dd", [`of=${copy}`, "status=none"], { input: data });
      expect(qemuImg("compare", "-f", "raw", "-F", "qcow2", copy, layer)).toContain("identical");
      await reader.close();
      await facet.detachSnapshot({ snapshotId, host: "host-b" }, context());
    }
    for (const [index, snapshotId] of [...ids.entries()].slice(0, 3).reverse()) {
      await facet.deleteSnapshot({ snapshotId }, context());
      for (const [other, id] of ids.entries()) {
        if (other < index || other === 3) {
          const layer = test.pool.layout.layer(volumeId, id);
          qemuCheck(layer);
          expect(qemuImg("compare", "-f", "raw", "-F", "qcow2", raws[other] as string, layer)).toContain("identical");
        }
      }
    }
    await detach();
    qemuCheck(test.pool.layout.image(volumeId));
    expect(
      qemuImg("compare", "-f", "raw", "-F", "qcow2", raws[3] as string, test.pool.layout.image(volumeId)),
    ).toContain("identical");
  });

  it("are whole or not there, wherever a kill came while one was made", async () => {
    for (const step of ["recorded", "prepared", "linked", "switched"] as const) {
      await using test = await createTestPool("here");
      const { volumeId, client, detach } = await volumeOn(test);
      await fill(client, 3, 7);
      await detach();
      const entry = test.pool.catalog.get(volumeId);
      const snapshotId = test.pool.random.uuid();
      const snapshot = { snapshotId, name: "snap", createdAt: 1, capacityBytes: 8 * mib };
      const { layout } = test.pool;
      const pending = { ...entry.record, pending: { kind: "snapshot" as const, snapshot } };
      await writeFileAtomic(layout.record(volumeId), formatRecord(pending));
      const folder = layout.volume(volumeId);
      const next = join(folder, ".next.qcow2");
      if (step !== "recorded") {
        const backing = { path: layerName(snapshotId), format: "qcow2" } as const;
        createImageSync({ path: next, virtualSizeBytes: 8 * mib, backing });
      }
      if (step === "linked" || step === "switched")
        linkSync(layout.image(volumeId), layout.layer(volumeId, snapshotId));
      if (step === "switched") {
        copyFileSync(next, join(folder, "other.qcow2"));
        execFileSync("mv", [join(folder, "other.qcow2"), layout.image(volumeId)]);
      }
      await test.reopen();
      const reading = { volumeId, host: "host-a", access: "readWrite", generation: 2 } as const;
      const reader = await connectTo(await test.provider.attachVolume(reading, context()));
      expect(await valueAt(reader, 3)).toBe(7);
      const { items } = await snapshots(test).listSnapshots({}, context());
      expect(items.map(({ name }) => name)).toEqual(step === "recorded" || step === "prepared" ? [] : ["snap"]);
      const made = await snapshots(test).createSnapshot({ name: "snap", volumeId }, context());
      await fill(reader, 3, 8);
      await reader.close();
      const there = await snapshots(test).attachSnapshot({ snapshotId: made.snapshotId, host: "host-b" }, context());
      const old = await connectTo(there as { readonly transport: VolumeTransport });
      expect(await valueAt(old, 3)).toBe(7);
      await old.close();
    }
  });
});
