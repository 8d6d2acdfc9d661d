import { createOperationContext, type OperationContext } from "@vdc-os/core";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { MemoryStorageProvider } from "@vdc-os/ready/storage";
import { expect, it } from "vitest";
import type { LinkedClonesProvider } from "../src/linked-clones-provider.ts";
import { cutting } from "./cutting-handle.ts";
import { handlesOn, openOn } from "./over-base.ts";

const context = createOperationContext();
const volumeOf = (volumeId: string) => ({ kind: "volume", volumeId }) as const;

type Work = (clones: LinkedClonesProvider, runningId: string, at: OperationContext) => Promise<void>;

const works: Readonly<Record<string, Work>> = {
  async "a clone of a volume that is written, and its end"(clones, runningId) {
    const { cloneVolume } = clones.facets.clones;
    const call = { source: volumeOf(runningId), want: "linked" } as const;
    const made = await cloneVolume.call(clones.facets.clones, { name: "one", ...call }, context);
    await clones.facets.clones.cloneVolume({ name: "two", source: volumeOf(runningId), want: "full" }, context);
    await clones.facets.lineage.flatten({ volumeId: made.volume.volumeId }, context);
    await clones.deleteVolume({ volumeId: made.volume.volumeId }, context);
  },
  async "a snapshot, its clone, its delete, and its clone's end"(clones, runningId) {
    const { snapshots } = clones.facets;
    const { snapshotId } = await snapshots.createSnapshot({ name: "kept", volumeId: runningId }, context);
    const source = { kind: "snapshot", snapshotId } as const;
    const { volume } = await clones.facets.clones.cloneVolume({ name: "one", source, want: "linked" }, context);
    await snapshots.deleteSnapshot({ snapshotId }, context);
    await clones.deleteVolume({ volumeId: volume.volumeId }, context);
  },
  async "a group, and its delete"(clones, runningId) {
    const { groupSnapshots } = clones.facets;
    const other = await clones.createVolume({ name: "other", capacityBytes: 65536 }, context);
    const volumeIds = [runningId, other.volumeId];
    const { groupSnapshotId } = await groupSnapshots.createGroupSnapshot({ name: "group", volumeIds }, context);
    await groupSnapshots.deleteGroupSnapshot({ groupSnapshotId }, context);
    await clones.deleteVolume({ volumeId: other.volumeId }, context);
  },
  async "a revert of a clone, which loses its parent by that"(clones) {
    const { snapshots, clones: cloning } = clones.facets;
    const parent = await clones.createVolume({ name: "parent", capacityBytes: 65536 }, context);
    const source = volumeOf(parent.volumeId);
    const { volumeId } = (await cloning.cloneVolume({ name: "clone", source, want: "linked" }, context)).volume;
    const { snapshotId } = await snapshots.createSnapshot({ name: "kept", volumeId }, context);
    await clones.deleteVolume({ volumeId: parent.volumeId }, context);
    await snapshots.revertToSnapshot({ volumeId, snapshotId }, context);
    await snapshots.deleteSnapshot({ snapshotId }, context);
    await clones.deleteVolume({ volumeId }, context);
  },
};

it.each(Object.entries(works))("%s: cut short after any call, nothing is lost and nothing stays", async (_, work) => {
  for (let calls = 1; calls < 120; calls++) {
    const store = new MemoryStorageProvider();
    const state = new MemoryStateStore();
    await using handles = await handlesOn(store, state);
    const before = await openOn(handles);
    const { volumeId } = await before.createVolume({ name: "running", capacityBytes: 65536 }, context);
    const input = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    await before.attachVolume(input, context);
    const left = { calls };
    const cut = { base: cutting(handles.base, left), state: cutting(handles.state, left) };
    let complete = false;
    let dying: LinkedClonesProvider | undefined;
    try {
      dying = await openOn(cut);
      await work(dying, volumeId, context);
      complete = left.calls > 0;
    } catch (error) {
      expect(error).toMatchObject({ code: "UNAVAILABLE" });
    }
    await dying?.close();
    const after = await openOn(handles);
    const { lineage, snapshots, groupSnapshots } = after.facets;
    const keys = async (): Promise<readonly string[]> =>
      (await handles.state.list({ prefix: "linked-clones/", limit: 1000 })).entries.map(({ key }) => key);
    expect((await keys()).filter((key) => /\/(pending|tombstones|deep)\//.test(key))).toEqual(
      (await keys()).filter((key) => key.includes("/tombstones/")),
    );
    const tree = await lineage.lineageTree({}, context);
    expect(new Set(store.pool.volumes.keys())).toEqual(new Set(tree.map((node) => node.volumeId)));
    for (const { tombstoned, children } of tree) if (tombstoned) expect(children).not.toEqual([]);
    const shown = (await snapshots.listSnapshots({}, context)).items;
    const read = tree.flatMap((node) => node.snapshots ?? []);
    expect(new Set(store.pool.snapshots.keys())).toEqual(
      new Set([...shown, ...read].map(({ snapshotId }) => snapshotId)),
    );
    // What is left can be taken away by its owner, and then there is nothing.
    for (const { groupSnapshotId } of shown) {
      if (groupSnapshotId !== undefined) await groupSnapshots.deleteGroupSnapshot({ groupSnapshotId }, context);
    }
    for (const { snapshotId } of shown) await snapshots.deleteSnapshot({ snapshotId }, context);
    for (const node of tree) {
      if (node.volumeId !== volumeId) await after.deleteVolume({ volumeId: node.volumeId }, context);
    }
    expect([...store.pool.volumes.keys()]).toEqual([volumeId]);
    expect(store.pool.snapshots.size + store.pool.groups.size).toBe(0);
    expect((await keys()).map((key) => key.split("/")[2]).sort()).toEqual(["names", "volumes"]);
    await after.close();
    if (complete) return;
  }
  throw new Error("the calls never completed");
});
