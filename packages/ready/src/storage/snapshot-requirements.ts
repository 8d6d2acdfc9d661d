import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  blockerNames,
  blockOf,
  create,
  detach,
  limitsOf,
  mib,
  mustBeCutOff,
  mustHold,
  mustHoldInSnapshot,
  mustRead,
  readSnapshot,
  type StorageRequirement,
  snapshotOf,
  whileWritten,
  withProvider,
  writeBlocks,
} from "./storage-instance.ts";
import { stampOf } from "./volume-requirements.ts";

/** Taking, reading and deleting snapshots: facet `snapshots`. */
export const snapshotRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.snapshots.content",
    title: "a snapshot keeps what the volume held, whatever is written later, and each of several its own",
    clause: "Snapshot: The content of a volume at one moment.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 5: 1, 1023: 1 });
      const first = await snapshotOf(test, "first", volumeId);
      mustEqual([first.volumeId, first.capacityBytes, first.ready], [volumeId, 4 * mib, true], "the snapshot");
      await writeBlocks(test, volumeId, 2, { 0: 2, 7: 2 });
      const second = await snapshotOf(test, "second", volumeId);
      await writeBlocks(test, volumeId, 3, { 0: 3, 5: 3 });
      await mustHoldInSnapshot(test, first, { 0: 1, 5: 1, 7: 0, 1023: 1 });
      await mustHoldInSnapshot(test, second, { 0: 2, 5: 1, 7: 2, 1023: 1 });
      await mustHold(test, volumeId, 4, { 0: 3, 5: 3, 7: 2, 1023: 1 });
    },
  },
  {
    id: "storage.snapshots.attached",
    title:
      "a snapshot of a volume that is being written holds all that was acknowledged before, and later writes only in their order",
    clause:
      "SnapshotsFacet: Crash-consistent: a snapshot holds every write that was acknowledged before it, also while the volume is attached.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const before = 20;
      // Not in order of the blocks, so that a copy in that order shows.
      const placeOf = (step: number): number => (step * 377) % 1000;
      const snapshots = await whileWritten(test, volumeId, 1, async (client) => {
        for (let step = 0; step < before; step++) await client.write(placeOf(step) * 4096, blockOf(1));
        let over = false;
        const taking = Promise.all(
          [snapshotOf(test, "one", volumeId), snapshotOf(test, "two", volumeId)].map(noAbort),
        ).finally(() => {
          over = true;
        });
        // The owner goes on writing, one write after the other, while the snapshots are taken.
        for (let step = before; step < 1000 && !over; step++) {
          await client.write(placeOf(step) * 4096, blockOf(1));
          await new Promise((resolve) => setImmediate(resolve));
        }
        return taking;
      });
      const taken = snapshots.filter((snapshot) => snapshot !== undefined);
      must(taken.length > 0, "one of two snapshots that are taken at once must be had");
      for (const snapshot of taken) {
        await readSnapshot(test, snapshot, async (client) => {
          let end = 0;
          while (end < 1000 && (await client.read(placeOf(end) * 4096, 4096))[0] === 1) end++;
          must(end >= before, `all ${before} acknowledged writes must be in the snapshot, and number ${end} is not`);
          for (let step = end; step < 1000; step++) await mustRead(client, { [placeOf(step)]: 0 });
        });
      }
    },
  },
  {
    id: "storage.snapshots.read",
    title: "a snapshot can be read while its volume is written, again and again, and never written",
    clause:
      "attachSnapshot: Makes a snapshot's content readable on a host; the volume may be attached elsewhere, and written to, meanwhile. Repeating it returns the same.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 100: 1 });
      const snapshot = await snapshotOf(test, "kept", volumeId);
      await whileWritten(test, volumeId, 2, async (client) => {
        await readSnapshot(test, snapshot, async (reader) => {
          for (const value of [2, 3, 4]) {
            await client.write(0, blockOf(value));
            await client.write(200 * 4096, blockOf(value));
            await client.flush();
            await mustRead(reader, { 0: 1, 100: 1, 200: 0 });
          }
          await mustBeCutOff(reader, "a reader of a snapshot");
          const input = { snapshotId: snapshot.snapshotId, host: test.instance.hosts[1] };
          const first = await test.facet("snapshots").attachSnapshot(input, test.operation());
          const again = await test.facet("snapshots").attachSnapshot(input, test.operation());
          mustEqual(again, first, "a repeated attachSnapshot");
        });
        await mustRead(client, { 0: 4, 100: 1, 200: 4 });
      });
    },
  },
  {
    id: "storage.snapshots.read-holds",
    title: "a snapshot that is being read is not deleted, and the error names the host",
    clause: "attachSnapshot: It ends with `detachSnapshot` alone; until then the snapshot can't be deleted.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      if (limitsOf(test, "snapshots").read === false)
        test.notApplicable("the provider says that snapshots can't be read");
      const { volumeId } = await create(test, "disk");
      const { snapshotId } = await snapshotOf(test, "kept", volumeId);
      const facet = test.facet("snapshots");
      const host = test.instance.hosts[0];
      await facet.detachSnapshot({ snapshotId, host }, test.operation());
      await facet.attachSnapshot({ snapshotId, host }, test.operation());
      const call = facet.deleteSnapshot({ snapshotId }, test.operation());
      const names = blockerNames(await mustReject(call, "FAILED_PRECONDITION", "deleting a snapshot that is read"));
      must(names.includes(host), `the error must name host '${host}' as a blocker, and names '${names.join("', '")}'`);
      await facet.getSnapshot({ snapshotId }, test.operation());
      await facet.detachSnapshot({ snapshotId, host }, test.operation());
      await facet.deleteSnapshot({ snapshotId }, test.operation());
      await facet.detachSnapshot({ snapshotId, host }, test.operation());
    },
  },
  {
    id: "storage.snapshots.idempotent",
    title: "the same snapshot again is the first one with its content; another under its name is refused",
    clause:
      "CreateSnapshot.name: the same name, volume and owner returns the same snapshot, which keeps the content of the first call.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const other = await create(test, "other");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const owner = stampOf("dc-1");
      const first = await snapshotOf(test, "kept", volumeId, { owner });
      mustEqual(first.owner, owner, "the owner");
      await writeBlocks(test, volumeId, 2, { 0: 2 });
      const again = await snapshotOf(test, "kept", volumeId, { owner });
      mustEqual(again.snapshotId, first.snapshotId, "the id of a repeated snapshot");
      await mustReject(
        snapshotOf(test, "kept", other.volumeId, { owner }),
        "ALREADY_EXISTS",
        "a snapshot of another volume",
      );
      await mustReject(snapshotOf(test, "kept", volumeId), "ALREADY_EXISTS", "a snapshot of another owner");
      await mustHoldInSnapshot(test, again, { 0: 1 });
    },
  },
  {
    id: "storage.snapshots.concurrent",
    title: "many snapshots of one name at once are one",
    clause: "One call at a time changes a volume; a second one fails with `ABORTED`",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const calls = await Promise.allSettled(Array.from({ length: 6 }, () => snapshotOf(test, "kept", volumeId)));
      for (const call of calls) {
        if (call.status === "rejected")
          await mustReject(Promise.reject(call.reason), "ABORTED", "a concurrent snapshot");
      }
      const ids = new Set(calls.flatMap((call) => (call.status === "fulfilled" ? [call.value.snapshotId] : [])));
      mustEqual(ids.size, 1, "the number of different snapshots that equal calls returned");
      const { items } = await test.facet("snapshots").listSnapshots({ volumeId }, test.operation());
      mustEqual(items.length, 1, "the number of snapshots");
    },
  },
  {
    id: "storage.snapshots.delete",
    title: "a snapshot between others can be deleted: they and the volume read the same, and its name is free",
    clause: "deleteSnapshot: Deleting what is absent succeeds.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("snapshots");
      const taken = [];
      for (const value of [1, 2, 3]) {
        await writeBlocks(test, volumeId, value, { 0: value, [value]: value });
        taken.push(await snapshotOf(test, `at-${value}`, volumeId));
      }
      await writeBlocks(test, volumeId, 4, { 0: 4 });
      const [first, middle, last] = taken as [(typeof taken)[0], (typeof taken)[0], (typeof taken)[0]];
      await facet.deleteSnapshot({ snapshotId: middle.snapshotId }, test.operation());
      await facet.deleteSnapshot({ snapshotId: middle.snapshotId }, test.operation());
      await facet.deleteSnapshot({ snapshotId: "never-was" }, test.operation());
      await mustReject(
        facet.getSnapshot({ snapshotId: middle.snapshotId }, test.operation()),
        "NOT_FOUND",
        "get after delete",
      );
      await mustHoldInSnapshot(test, first, { 0: 1, 1: 1, 2: 0 });
      await mustHoldInSnapshot(test, last, { 0: 3, 1: 1, 2: 2, 3: 3 });
      await mustHold(test, volumeId, 5, { 0: 4, 1: 1, 2: 2, 3: 3 });
      const next = await snapshotOf(test, "at-2", volumeId);
      must(next.snapshotId !== middle.snapshotId, "an id must never be used again");
      await mustHoldInSnapshot(test, next, { 0: 4 });
    },
  },
  {
    id: "storage.snapshots.holds-volume",
    title: "a volume with snapshots is not deleted, and the error names them",
    clause:
      "deleteVolume: An attached volume fails with `FAILED_PRECONDITION`; one with snapshots or overlays does too, and names them.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const { snapshotId } = await snapshotOf(test, "kept", volumeId);
      const call = test.provider.deleteVolume({ volumeId }, test.operation());
      const names = blockerNames(await mustReject(call, "FAILED_PRECONDITION", "deleting a volume with a snapshot"));
      must(names.includes("kept"), `the error must name 'kept' as a blocker, and names '${names.join("', '")}'`);
      await test.facet("snapshots").deleteSnapshot({ snapshotId }, test.operation());
      await test.provider.deleteVolume({ volumeId }, test.operation());
    },
  },
  {
    id: "storage.snapshots.restart",
    title: "snapshots, what they hold, and deletes of them are there after a kill",
    clause: "Whatever was acknowledged survives `kill -9`",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const kept = await snapshotOf(test, "kept", volumeId, { owner: stampOf("dc-1") });
      const gone = await snapshotOf(test, "gone", volumeId);
      await writeBlocks(test, volumeId, 2, { 0: 2 });
      await test.facet("snapshots").deleteSnapshot({ snapshotId: gone.snapshotId }, test.operation());
      const attachment = await attach(test, volumeId, 3);
      await detach(test, attachment);
      const provider = await test.wrap(await test.instance.reopen());
      const again = withProvider(test, provider);
      const { items } = await again.facet("snapshots").listSnapshots({}, test.operation());
      mustEqual(
        items.map(({ snapshotId, name, owner }) => [snapshotId, name, owner]),
        [[kept.snapshotId, "kept", stampOf("dc-1")]],
        "the snapshots after a restart",
      );
      if (limitsOf(test, "snapshots").read === false) return;
      await mustHoldInSnapshot(again, kept, { 0: 1 });
    },
  },
];

/** One of several calls at once may be told to come again. */
function noAbort<T>(call: Promise<T>): Promise<T | undefined> {
  return call.catch(async (error: unknown) => {
    await mustReject(Promise.reject(error), "ABORTED", "a concurrent snapshot");
    return undefined;
  });
}
