import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  type BlockClient,
  blockOf,
  create,
  detach,
  limitsOf,
  mustHoldInSnapshot,
  readSnapshot,
  type StorageRequirement,
  withProvider,
  writeBlocks,
} from "./storage-instance.ts";

/** Facet `groupSnapshots`. */
export const groupSnapshotRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.group-snapshots.moment",
    title: "what is written to several volumes in an order is in their group snapshot in that order",
    clause:
      "GroupSnapshotsFacet: one moment for all volumes, in the sense that a write that was begun after another was acknowledged is never in without it.",
    level: "extended",
    facet: "groupSnapshots",
    async run(test) {
      const volumes = [await create(test, "data"), await create(test, "log")];
      const attachments = [];
      for (const { volumeId } of volumes) attachments.push(await attach(test, volumeId, 1));
      const clients: BlockClient[] = [];
      for (const { transport } of attachments) clients.push(await test.instance.openTransport(transport));
      let over = false;
      const volumeIds = volumes.map(({ volumeId }) => volumeId);
      const write = async (step: number): Promise<void> => {
        for (const client of clients) {
          await client.write(step * 4096, blockOf(1));
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const before = 10;
      for (let step = 0; step < before; step++) await write(step);
      const taking = test
        .facet("groupSnapshots")
        .createGroupSnapshot({ name: "group", volumeIds }, test.operation())
        .finally(() => {
          over = true;
        });
      for (let step = before; step < 1000 && !over; step++) await write(step);
      const group = await taking;
      for (const client of clients) await client.close();
      for (const attachment of attachments) await detach(test, attachment);
      const ends: number[] = [];
      for (const { volumeId } of volumes) {
        const snapshot = group.snapshots.find((member) => member.volumeId === volumeId);
        must(snapshot !== undefined, `the group must have a snapshot of '${volumeId}'`);
        await readSnapshot(test, snapshot, async (client) => {
          let end = 0;
          while (end < 1000 && (await client.read(end * 4096, 4096))[0] === 1) end++;
          ends.push(end);
        });
      }
      const [data = 0, log = 0] = ends;
      must(
        data >= before && (data === log || data === log + 1),
        `the writes went to one, then the other: the group must hold as many of both, or one more of the first, and holds ${data} and ${log}`,
      );
    },
  },
  {
    id: "storage.group-snapshots.whole",
    title: "a group snapshot is of all its volumes or of none; the same again is the same",
    clause:
      "createGroupSnapshot: Either all volumes have their snapshot, or none. The same name, volumes and owner returns the same group.",
    level: "extended",
    facet: "groupSnapshots",
    async run(test) {
      const one = await create(test, "one");
      const two = await create(test, "two");
      const facet = test.facet("groupSnapshots");
      const group = (...volumeIds: string[]) =>
        facet.createGroupSnapshot({ name: "group", volumeIds }, test.operation());
      const count = async (): Promise<number> =>
        (await test.facet("snapshots").listSnapshots({}, test.operation())).items.length;
      await mustReject(group(one.volumeId, "never-was"), "NOT_FOUND", "a group with an absent volume");
      mustEqual(await count(), 0, "the number of snapshots after a refused group");
      const made = await group(one.volumeId, two.volumeId);
      mustEqual(made.snapshots.length, 2, "the number of the group's snapshots");
      for (const { groupSnapshotId } of made.snapshots)
        mustEqual(groupSnapshotId, made.groupSnapshotId, "a member's group");
      mustEqual(
        (await group(one.volumeId, two.volumeId)).groupSnapshotId,
        made.groupSnapshotId,
        "the id of a repeated group",
      );
      await mustReject(group(one.volumeId), "ALREADY_EXISTS", "a group of other volumes");
      mustEqual(await count(), 2, "the number of snapshots");
    },
  },
  {
    id: "storage.group-snapshots.delete",
    title: "a group is deleted with all its snapshots, or with none while one of them is being read",
    clause: "deleteGroupSnapshot: Deletes the group and all its snapshots, or, when one of them can't be, none",
    level: "extended",
    facet: "groupSnapshots",
    async run(test) {
      const one = await create(test, "one");
      const two = await create(test, "two");
      const facet = test.facet("groupSnapshots");
      const volumeIds = [one.volumeId, two.volumeId];
      const { groupSnapshotId, snapshots } = await facet.createGroupSnapshot(
        { name: "group", volumeIds },
        test.operation(),
      );
      const listed = async () => (await test.facet("snapshots").listSnapshots({}, test.operation())).items.length;
      const last = snapshots.at(-1);
      must(last !== undefined, "a group of two volumes must have snapshots");
      if (limitsOf(test, "snapshots").read !== false) {
        await readSnapshot(test, last, async () => {
          const call = facet.deleteGroupSnapshot({ groupSnapshotId }, test.operation());
          await mustReject(call, "FAILED_PRECONDITION", "deleting a group of which a member is read");
          mustEqual(await listed(), 2, "the number of snapshots after a refused delete");
        });
      }
      await facet.deleteGroupSnapshot({ groupSnapshotId }, test.operation());
      await facet.deleteGroupSnapshot({ groupSnapshotId }, test.operation());
      mustEqual(await listed(), 0, "the number of snapshots after the delete");
      await mustReject(facet.getGroupSnapshot({ groupSnapshotId }, test.operation()), "NOT_FOUND", "get after delete");
      for (const volumeId of volumeIds) await test.provider.deleteVolume({ volumeId }, test.operation());
    },
  },
  {
    id: "storage.group-snapshots.restart",
    title: "a group snapshot is there after a kill, with its members",
    clause: "Whatever was acknowledged survives `kill -9`",
    level: "extended",
    facet: "groupSnapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const input = { name: "group", volumeIds: [volumeId] };
      const made = await test.facet("groupSnapshots").createGroupSnapshot(input, test.operation());
      const [member] = made.snapshots;
      must(member !== undefined, "the group must have its member");
      await writeBlocks(test, volumeId, 2, { 0: 2 });
      const provider = await test.wrap(await test.instance.reopen());
      const { groupSnapshotId } = made;
      const found = await provider.facets?.groupSnapshots?.getGroupSnapshot({ groupSnapshotId }, test.operation());
      mustEqual(
        found?.snapshots.map(({ snapshotId }) => snapshotId),
        [member.snapshotId],
        "the members after a restart",
      );
      if (limitsOf(test, "snapshots").read === false) return;
      await mustHoldInSnapshot(withProvider(test, provider), member, { 0: 1 });
    },
  },
];
