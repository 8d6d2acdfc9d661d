import type { Snapshot, Volume, VolumeSource } from "@vdc-os/core/storage/v1";
import { must, mustEqual } from "../suite/must.ts";
import { copies, diskName, writtenDisks } from "./crash-requirements.ts";
import { DoomedStorage, snapshotsOf, volumesOf } from "./doomed-storage.ts";
import {
  attach,
  detach,
  limitsOf,
  mustHold,
  mustHoldInSnapshot,
  type StorageRequirement,
  type StorageTest,
  snapshotOf,
  takesSource,
  writeBlocks,
} from "./storage-instance.ts";

const survives =
  'StorageProvider: "Whatever was acknowledged survives `kill -9`; whatever was not leaves nothing behind that a later call can\'t complete or undo."';

const snapshotName = (copy: number): string => `moment-${copy}`;
const diskIn = (disks: readonly Volume[], copy: number): Volume => disks[copy] as Volume;

/** Disks with a snapshot each, and written since: by then the first block holds `value(copy)`. */
async function snapshotted(
  test: StorageTest,
  value: (copy: number) => number,
): Promise<{ readonly disks: readonly Volume[]; readonly snapshots: readonly Snapshot[] }> {
  const disks = await writtenDisks(test);
  const snapshots: Snapshot[] = [];
  for (const copy of copies) {
    const { volumeId } = diskIn(disks, copy);
    snapshots.push(await snapshotOf(test, snapshotName(copy), volumeId));
    await writeBlocks(test, volumeId, 2, { 0: value(copy), 255: value(copy) });
  }
  return { disks, snapshots };
}

/** Fails unless a snapshot has the bytes, where snapshots can be read. */
async function mustKeep(test: StorageTest, snapshot: Snapshot, value: number): Promise<void> {
  if (limitsOf(test, "snapshots").read === false) return;
  await mustHoldInSnapshot(test, snapshot, { 0: value, 1: 0, 255: value });
}

/** Fails unless the copies of disks and snapshots have their sources' content, each once, also when they are repeated. */
async function tryCopies(
  test: StorageTest,
  facet: "clones" | "layering",
  copyOf: (at: StorageTest, name: string, source: VolumeSource) => Promise<string>,
): Promise<void> {
  const fromSnapshot =
    test.description.facets.snapshots?.status === "available" && takesSource(test, facet, "snapshot");
  const fromVolume = takesSource(test, facet, "volume");
  const doomed = await DoomedStorage.start(test);
  const disks = await writtenDisks(doomed.test);
  const sources: VolumeSource[] = [];
  for (const copy of copies) {
    const { volumeId } = diskIn(disks, copy);
    if (fromVolume && (copy % 2 === 0 || !fromSnapshot)) {
      sources.push({ kind: "volume", volumeId });
    } else {
      const { snapshotId } = await snapshotOf(doomed.test, snapshotName(copy), volumeId);
      sources.push({ kind: "snapshot", snapshotId });
    }
  }
  const nameOf = (copy: number): string => `copy-${copy}`;
  const make = (at: StorageTest, copy: number): Promise<string> =>
    copyOf(at, nameOf(copy), sources[copy] as VolumeSource);
  const { after, answered } = await doomed.killWhile({ items: copies, call: make });
  const found = await volumesOf(after);
  for (const copy of copies) {
    const name = nameOf(copy);
    const told = answered.get(copy);
    if (told !== undefined) mustEqual(found.get(name), told, `the id of '${name}', which was answered`);
    const made = await make(after, copy);
    mustEqual(made, found.get(name) ?? made, `the id of '${name}' when it is repeated after a kill`);
    await mustHold(after, made, 1, { 0: 1 + copy, 1: 0, 255: 1 + copy });
    await writeBlocks(after, made, 2, { 1: 7 });
    await mustHold(after, diskIn(disks, copy).volumeId, 2, { 0: 1 + copy, 1: 0, 255: 1 + copy });
  }
  mustEqual([...(await volumesOf(after)).keys()], [...copies.map(nameOf), ...copies.map(diskName)], "the names");
  await doomed.mustBeAsBefore(after);
}

/** Kills in the middle of what takes snapshots, goes back to them, and copies. */
export const crashCopyRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.crash.snapshot",
    title:
      "when the provider is killed while snapshots are taken, each is there once and whole or not at all, and the answered ones are; a repeat has it, and nothing is lost or leaked",
    clause: survives,
    level: "core",
    facet: "snapshots",
    async run(test) {
      const doomed = await DoomedStorage.start(test);
      const disks = await writtenDisks(doomed.test);
      const take = (at: StorageTest, copy: number): Promise<Snapshot> =>
        snapshotOf(at, snapshotName(copy), diskIn(disks, copy).volumeId);
      const { after, answered } = await doomed.killWhile({ items: copies, call: take });
      const found = await snapshotsOf(after);
      for (const copy of copies) {
        const name = snapshotName(copy);
        const told = answered.get(copy)?.snapshotId;
        if (told !== undefined) mustEqual(found.get(name), told, `the id of '${name}', which was answered`);
        const taken = await take(after, copy);
        mustEqual(taken.snapshotId, found.get(name) ?? taken.snapshotId, `the id of '${name}' when it is repeated`);
        const { volumeId } = diskIn(disks, copy);
        await writeBlocks(after, volumeId, 2, { 0: 50, 255: 51 });
        await mustKeep(after, taken, 1 + copy);
        await mustHold(after, volumeId, 3, { 0: 50, 1: 0, 255: 51 });
      }
      mustEqual([...(await snapshotsOf(after)).keys()], copies.map(snapshotName), "the snapshots after a kill");
      await doomed.mustBeAsBefore(after);
    },
  },
  {
    id: "storage.crash.snapshot-delete",
    title:
      "when the provider is killed while snapshots are deleted, each is whole or gone, and the answered ones are gone; a repeat ends it, the volume is as it was, and nothing is leaked",
    clause: survives,
    level: "core",
    facet: "snapshots",
    async run(test) {
      const doomed = await DoomedStorage.start(test);
      const { disks, snapshots } = await snapshotted(doomed.test, (copy) => 50 + copy);
      const remove = (at: StorageTest, copy: number): Promise<void> => {
        const { snapshotId } = snapshots[copy] as Snapshot;
        return at.facet("snapshots").deleteSnapshot({ snapshotId }, at.operation());
      };
      const { after, answered } = await doomed.killWhile({ items: copies, call: remove });
      const found = await snapshotsOf(after);
      for (const copy of copies) {
        const name = snapshotName(copy);
        must(!found.has(name) || !answered.has(copy), `'${name}', whose deletion was answered, must be gone`);
        if (found.has(name)) await mustKeep(after, snapshots[copy] as Snapshot, 1 + copy);
        await remove(after, copy);
        await mustHold(after, diskIn(disks, copy).volumeId, 3, { 0: 50 + copy, 1: 0, 255: 50 + copy });
      }
      mustEqual([...(await snapshotsOf(after)).keys()], [], "the snapshots when the deletions were repeated");
      const again = await snapshotOf(after, snapshotName(0), diskIn(disks, 0).volumeId);
      await mustKeep(after, again, 50);
      await doomed.mustBeAsBefore(after);
    },
  },
  {
    id: "storage.crash.revert",
    title:
      "when the provider is killed while volumes go back to a snapshot, each has the one content or the other, whole, and the answered ones the snapshot's; a repeat ends it, and nothing is leaked",
    clause: survives,
    level: "core",
    facet: "snapshots",
    async run(test) {
      if (limitsOf(test, "snapshots").revert === false) test.notApplicable("the provider says that it can't revert");
      const doomed = await DoomedStorage.start(test);
      const { disks, snapshots } = await snapshotted(doomed.test, (copy) => 50 + copy);
      const revert = (at: StorageTest, copy: number): Promise<void> => {
        const { snapshotId, volumeId } = snapshots[copy] as Snapshot;
        return at.facet("snapshots").revertToSnapshot({ volumeId, snapshotId }, at.operation());
      };
      const { after, answered } = await doomed.killWhile({ items: copies, call: revert });
      for (const copy of copies) {
        const { volumeId } = diskIn(disks, copy);
        const held = await endsOf(after, volumeId, 3);
        const either = answered.has(copy) ? [1 + copy] : [1 + copy, 50 + copy];
        must(
          held[0] === held[1] && either.includes(held[0]),
          `'${diskName(copy)}' must hold ${either.join(" or ")} in its first block and in its last, and holds ${held.join(", ")}`,
        );
        await revert(after, copy);
        await mustHold(after, volumeId, 4, { 0: 1 + copy, 1: 0, 255: 1 + copy });
      }
      mustEqual([...(await snapshotsOf(after)).keys()], copies.map(snapshotName), "the snapshots after a kill");
      await mustKeep(after, snapshots.at(-1) as Snapshot, copies.length);
      await doomed.mustBeAsBefore(after);
    },
  },
  {
    id: "storage.crash.group-snapshot",
    title:
      "when the provider is killed while group snapshots are taken, each can be had by a repeat with all of its members once, and the answered ones are there; nothing is leaked",
    clause: `${survives} createGroupSnapshot: "Either all volumes have their snapshot, or none."`,
    level: "core",
    facet: "groupSnapshots",
    async run(test) {
      const doomed = await DoomedStorage.start(test);
      const disks = await writtenDisks(doomed.test);
      const pairs = copies.filter((copy) => copy % 2 === 0);
      const take = (at: StorageTest, first: number) => {
        const volumeIds = [first, first + 1].map((copy) => diskIn(disks, copy).volumeId);
        return at.facet("groupSnapshots").createGroupSnapshot({ name: `group-${first}`, volumeIds }, at.operation());
      };
      const { after, answered } = await doomed.killWhile({ items: pairs, call: take });
      let members = 0;
      for (const first of pairs) {
        const group = await take(after, first);
        const { groupSnapshotId } = group;
        mustEqual(groupSnapshotId, answered.get(first)?.groupSnapshotId ?? groupSnapshotId, "the id of a group");
        mustEqual((await take(after, first)).groupSnapshotId, groupSnapshotId, "the id of a group that is repeated");
        for (const copy of [first, first + 1]) {
          const own = group.snapshots.filter(({ volumeId }) => volumeId === diskIn(disks, copy).volumeId);
          mustEqual(own.length, 1, `how many members of 'group-${first}' are of '${diskName(copy)}'`);
          if (test.description.facets.snapshots?.status === "available")
            await mustKeep(after, own[0] as Snapshot, 1 + copy);
        }
        members += group.snapshots.length;
      }
      mustEqual(members, copies.length, "how many members there are");
      if (test.description.facets.snapshots?.status === "available") {
        mustEqual((await snapshotsOf(after)).size, members, "how many snapshots there are: those of the groups");
      }
      for (const first of pairs) {
        const { groupSnapshotId } = await take(after, first);
        await after.facet("groupSnapshots").deleteGroupSnapshot({ groupSnapshotId }, after.operation());
      }
      await doomed.mustBeAsBefore(after);
    },
  },
  {
    id: "storage.crash.overlay",
    title:
      "when the provider is killed while overlays are made of volumes and snapshots, each is there once or not at all, and the answered ones are; a repeat has it with its parent's content, and nothing is lost or leaked",
    clause: survives,
    level: "core",
    facet: "layering",
    run: (test) =>
      tryCopies(test, "layering", async (at, name, parent) => {
        const { volumeId } = await at.facet("layering").createOverlay({ name, parent }, at.operation());
        return volumeId;
      }),
  },
  {
    id: "storage.crash.clone",
    title:
      "when the provider is killed while volumes and snapshots are cloned, each clone is there once or not at all, and the answered ones are; a repeat has it with its source's content, and nothing is lost or leaked",
    clause: survives,
    level: "core",
    facet: "clones",
    run: (test) =>
      tryCopies(test, "clones", async (at, name, source) => {
        const { volume } = await at.facet("clones").cloneVolume({ name, source, want: "any" }, at.operation());
        return volume.volumeId;
      }),
  },
];

/** The first byte of a volume's first block, and of its last. */
async function endsOf(test: StorageTest, volumeId: string, generation: number): Promise<readonly [number, number]> {
  const attachment = await attach(test, volumeId, generation, { access: "readOnly" });
  const client = await test.instance.openTransport(attachment.transport);
  try {
    const [first, last] = [await client.read(0, 4096), await client.read(255 * 4096, 4096)];
    return [first[0] ?? 0, last[0] ?? 0];
  } finally {
    await client.close();
    await detach(test, attachment);
  }
}
