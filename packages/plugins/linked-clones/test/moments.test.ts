import { createOperationContext } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { connectTo, createTestPool, mib } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { MemoryStorageProvider } from "@vdc-os/ready/storage";
import { describe, expect, it } from "vitest";
import type { LinkedClonesProvider } from "../src/linked-clones-provider.ts";
import { withLimits } from "./other-bases.ts";
import { type BelowHandles, handlesOn, openOn } from "./over-base.ts";

const context = createOperationContext();
const volumeOf = (volumeId: string) => ({ kind: "volume", volumeId }) as const;
const snapshotOf = (snapshotId: string) => ({ kind: "snapshot", snapshotId }) as const;

async function attachTo(provider: StorageProvider, volumeId: string, generation = 1) {
  return provider.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation }, context);
}

async function firstByte(provider: StorageProvider, volumeId: string, offset: number, generation: number) {
  const attachment = await attachTo(provider, volumeId, generation);
  const client = await connectTo(attachment);
  const data = Buffer.alloc(4096);
  await client.read(data, offset);
  await client.close();
  await provider.detachVolume(attachment, context);
  return data[0];
}

async function overReference(): Promise<
  AsyncDisposable & {
    readonly store: MemoryStorageProvider;
    readonly clones: LinkedClonesProvider;
    handles: BelowHandles;
  }
> {
  const store = new MemoryStorageProvider();
  const handles = await handlesOn(store);
  const clones = await openOn(handles);
  return {
    store,
    handles,
    clones,
    [Symbol.asyncDispose]: async () => {
      await clones.close();
      await handles[Symbol.asyncDispose]();
    },
  };
}

describe("clones of a moment", () => {
  it("clones a volume that is being written, again and again, and keeps nothing when the clones are gone", async () => {
    await using test = await createTestPool("here");
    await using handles = await handlesOn(test.provider);
    const clones = await openOn(handles);
    const { facets } = clones;
    const { volumeId } = await clones.createVolume({ name: "running", capacityBytes: 64 * mib }, context);
    const attachment = await attachTo(clones, volumeId);
    const client = await connectTo(attachment);
    const made: string[] = [];
    for (let moment = 1; moment <= 3; moment++) {
      await client.write(Buffer.alloc(4096, moment), 0);
      await client.write(Buffer.alloc(4096, moment), moment * mib);
      const clone = await facets.clones.cloneVolume(
        { name: `clone-${moment}`, source: volumeOf(volumeId), want: "linked" },
        context,
      );
      expect(clone).toMatchObject({ kind: "linked", depth: 2, volume: { parent: { kind: "snapshot" } } });
      made.push(clone.volume.volumeId);
    }
    await client.write(Buffer.alloc(4096, 99), 0);
    const full = await facets.clones.cloneVolume({ name: "copy", source: volumeOf(volumeId), want: "full" }, context);
    expect(full).toMatchObject({ kind: "full", depth: 1, sharedBytes: 0 });
    await client.write(Buffer.alloc(4096, 100), 0);
    await client.close();
    await clones.detachVolume(attachment, context);
    for (const [index, id] of made.entries()) {
      expect(await firstByte(clones, id, 0, 1)).toBe(index + 1);
      expect(await firstByte(clones, id, (index + 2) * mib, 2)).toBe(0);
    }
    expect(await firstByte(clones, full.volume.volumeId, 0, 1)).toBe(99);
    expect(await firstByte(clones, volumeId, 0, 2)).toBe(100);
    // Three hidden snapshots, one for each linked clone; that of the full one is gone.
    expect((await facets.snapshots.listSnapshots({}, context)).items).toEqual([]);
    expect((await test.provider.facets.snapshots.listSnapshots({}, context)).items).toHaveLength(3);
    const family = await facets.lineage.lineageTree({ volumeId: made[0] as string }, context);
    expect(family.map(({ depth }) => depth)).toEqual([1, 2, 2, 2]);
    expect(new Set(family.map(({ name }) => name))).toEqual(new Set(["running", "clone-1", "clone-2", "clone-3"]));
    expect(family[0]?.snapshots).toHaveLength(3);
    expect(family[0]?.snapshots?.every(({ kept, children }) => kept && children.length === 1)).toBe(true);
    expect(family[1]).toMatchObject({ parentVolumeId: volumeId, parentSnapshotId: expect.any(String) });

    await clones.deleteVolume({ volumeId }, context);
    const [first = "", second = "", third = ""] = made;
    await clones.deleteVolume({ volumeId: first }, context);
    await facets.lineage.flatten({ volumeId: second }, context);
    expect((await test.provider.facets.snapshots.listSnapshots({}, context)).items).toHaveLength(1);
    expect(await firstByte(clones, second, 0, 3)).toBe(2);
    const last = await clones.getVolume({ volumeId: third }, context);
    expect(last.exclusiveBytes).toBeGreaterThan(last.allocatedBytes);
    const before = (await clones.capacity({}, context)).allocatedBytes;
    await clones.deleteVolume({ volumeId: third }, context);
    expect(before - (await clones.capacity({}, context)).allocatedBytes).toBe(last.exclusiveBytes);
    expect((await test.provider.listVolumes({}, context)).items).toHaveLength(2);
    expect((await test.provider.facets.snapshots.listSnapshots({}, context)).items).toEqual([]);
  });

  it("takes one hidden snapshot for all that ask while another is being taken", async () => {
    await using test = await overReference();
    const { clones, store } = test;
    const { volumeId } = await clones.createVolume({ name: "running", capacityBytes: mib }, context);
    await attachTo(clones, volumeId);
    const made = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        clones.facets.clones.cloneVolume(
          { name: `clone-${index}`, source: volumeOf(volumeId), want: "linked" },
          context,
        ),
      ),
    );
    expect(made).toHaveLength(40);
    expect(store.pool.snapshots.size).toBeLessThan(4);
    for (const { volume } of made) await clones.deleteVolume({ volumeId: volume.volumeId }, context);
    expect(store.pool.snapshots.size).toBe(0);
  });

  it("frees the name of a snapshot that clones read, and keeps it for them; one that is read besides is not deleted", async () => {
    await using test = await overReference();
    const { clones, store } = test;
    const { snapshots, lineage, clones: cloning } = clones.facets;
    const { volumeId } = await clones.createVolume({ name: "disk", capacityBytes: mib }, context);
    const { snapshotId } = await snapshots.createSnapshot({ name: "golden", volumeId }, context);
    const clone = await cloning.cloneVolume({ name: "clone", source: snapshotOf(snapshotId), want: "any" }, context);
    await snapshots.attachSnapshot({ snapshotId, host: "host-b" }, context);
    await expect(snapshots.deleteSnapshot({ snapshotId }, context)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      blockers: [{ kind: "host", name: "host-b" }],
    });
    await snapshots.detachSnapshot({ snapshotId, host: "host-b" }, context);
    await expect(clones.deleteVolume({ volumeId }, context)).rejects.toMatchObject({
      blockers: [{ kind: "snapshot", name: "golden" }],
    });
    await snapshots.deleteSnapshot({ snapshotId }, context);
    await expect(snapshots.getSnapshot({ snapshotId }, context)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await clones.deleteVolume({ volumeId }, context);
    const again = await clones.createVolume({ name: "disk", capacityBytes: mib }, context);
    await snapshots.createSnapshot({ name: "golden", volumeId: again.volumeId }, context);
    expect(await lineage.getLineage({ volumeId }, context)).toMatchObject({
      tombstoned: true,
      children: [clone.volume.volumeId],
      snapshots: [{ snapshotId, name: "golden", kept: true }],
    });
    await lineage.promote({ volumeId: clone.volume.volumeId }, context);
    await expect(lineage.getLineage({ volumeId }, context)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect([...store.pool.snapshots.values()]).toHaveLength(1);
    expect(store.pool.volumes.size).toBe(2);
  });

  it("refuses to delete a group of which a member has a clone, and names it", async () => {
    await using test = await overReference();
    const { clones } = test;
    const { groupSnapshots, snapshots, clones: cloning } = clones.facets;
    const { volumeId } = await clones.createVolume({ name: "disk", capacityBytes: mib }, context);
    const group = await groupSnapshots.createGroupSnapshot({ name: "group", volumeIds: [volumeId] }, context);
    const snapshotId = group.snapshots[0]?.snapshotId ?? "";
    const { volume } = await cloning.cloneVolume(
      { name: "clone", source: snapshotOf(snapshotId), want: "any" },
      context,
    );
    const { groupSnapshotId } = group;
    await expect(groupSnapshots.deleteGroupSnapshot({ groupSnapshotId }, context)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      blockers: [{ kind: "volume", name: "clone" }],
    });
    expect((await snapshots.listSnapshots({ volumeId }, context)).items).toHaveLength(1);
    await clones.deleteVolume({ volumeId: volume.volumeId }, context);
    await groupSnapshots.deleteGroupSnapshot({ groupSnapshotId }, context);
    expect((await snapshots.listSnapshots({ volumeId }, context)).items).toEqual([]);
  });

  it("says what is missing where the provider underneath makes no overlays of snapshots", async () => {
    const store = withLimits(new MemoryStorageProvider(), "layering", { parents: ["volume"] });
    await using handles = await handlesOn(store);
    const clones = await openOn(handles);
    const { facets } = await clones.describe({ scope: {} }, context);
    expect(facets.clones).toMatchObject({
      limits: { sources: ["volume"], online: false },
      evidence: expect.stringContaining("does not name them in 'parents'"),
    });
    const { volumeId } = await clones.createVolume({ name: "disk", capacityBytes: mib }, context);
    await attachTo(clones, volumeId);
    await expect(
      clones.facets.clones.cloneVolume({ name: "clone", source: volumeOf(volumeId), want: "linked" }, context),
    ).rejects.toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringContaining("attached for writing") });
    const { snapshotId } = await clones.facets.snapshots.createSnapshot({ name: "kept", volumeId }, context);
    await expect(
      clones.facets.clones.cloneVolume({ name: "clone", source: snapshotOf(snapshotId), want: "linked" }, context),
    ).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });
});
