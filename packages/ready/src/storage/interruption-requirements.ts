import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { mustKeepNoMemory } from "../suite/heap-growth.ts";
import { mustEqual } from "../suite/must.ts";
import { mustBeOverdue } from "../suite/overdue.ts";
import { patiently } from "../suite/patience.ts";
import {
  attach,
  create,
  detach,
  mib,
  mustHold,
  namesOf,
  type StorageRequirement,
  snapshotOf,
  writeBlocks,
} from "./storage-instance.ts";

/** Callers that come too late, that give a snapshot up at any moment, and calls that may not take all memory. */
export const interruptionRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.deadline.passed",
    title: "a change whose deadline has passed before it begins fails with DEADLINE_EXCEEDED, and has no effect",
    clause:
      'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."',
    level: "core",
    async run(test) {
      const { provider } = test;
      const [host] = test.instance.hosts;
      const { volumeId } = await create(test, "attached");
      const free = await create(test, "free");
      const attachment = await attach(test, volumeId, 1);
      await mustBeOverdue(test, {
        createVolume: (context) => provider.createVolume({ name: "late", capacityBytes: mib }, context),
        deleteVolume: (context) => provider.deleteVolume({ volumeId: free.volumeId }, context),
        attachVolume: (context) =>
          provider.attachVolume({ volumeId: free.volumeId, host, access: "readWrite", generation: 9 }, context),
        detachVolume: (context) => provider.detachVolume({ volumeId, host, generation: 1 }, context),
        revokeAttachment: (context) => provider.revokeAttachment({ volumeId, generation: 9 }, context),
      });
      mustEqual(await namesOf(test), ["attached", "free"], "the names after calls that came too late");
      const found = await provider.getAttachment({ volumeId }, test.operation());
      mustEqual(found.attachment?.generation, 1, "the generation in which the volume is attached");
      await detach(test, attachment);
      // A generation that came too late was not seen.
      for (const id of [volumeId, free.volumeId]) await detach(test, await attach(test, id, 2));
    },
  },
  {
    id: "storage.deadline.snapshot",
    title: "a snapshot that is asked for after its deadline is not taken, and one that is deleted then stays",
    clause:
      'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."',
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const { snapshotId } = await snapshotOf(test, "kept", volumeId);
      const snapshots = test.facet("snapshots");
      await mustBeOverdue(test, {
        createSnapshot: (context) => snapshots.createSnapshot({ name: "late", volumeId }, context),
        deleteSnapshot: (context) => snapshots.deleteSnapshot({ snapshotId }, context),
      });
      const { items } = await snapshots.listSnapshots({ volumeId }, test.operation());
      mustEqual(
        items.map(({ name }) => name),
        ["kept"],
        "the snapshots after calls that came too late",
      );
    },
  },
  {
    id: "storage.snapshots.cancel",
    title: "a snapshot that is given up at any moment is taken or not, and a repeat finds or takes it",
    clause:
      "A caller that cancels gets `CANCELLED`. What it had asked for is then whole or not there at all, and a repeat finds out which.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk", { capacityBytes: mib });
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const snapshots = test.facet("snapshots");
      const names = async (): Promise<readonly string[]> =>
        (await snapshots.listSnapshots({ volumeId }, test.operation())).items.map(({ name }) => name);
      await giveUpAtEveryStep(test, {
        what: "a snapshot",
        isCostly: true,
        codes: ["ABORTED"],
        call: (context, step) => snapshots.createSnapshot({ name: `step-${step}`, volumeId }, context),
        async look(step) {
          const { snapshotId } = await patiently(() => snapshotOf(test, `step-${step}`, volumeId));
          mustEqual(await names(), [`step-${step}`], "the snapshots when it was repeated");
          await patiently(() => snapshots.deleteSnapshot({ snapshotId }, test.operation()));
          mustEqual(await names(), [], "the snapshots when it was deleted");
        },
      });
      await patiently(() => mustHold(test, volumeId, 2, { 0: 1, 1: 0 }));
    },
  },
  {
    id: "storage.get.bounded-memory",
    title: "looking at a volume again and again keeps nothing",
    clause: "OperationContext: it ends with its call, and what the call read with it",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await mustKeepNoMemory(
        async () => {
          await test.provider.getVolume({ volumeId }, test.operation());
          await test.provider.listVolumes({}, test.operation());
        },
        { calls: 50, bytesPerCall: 8_192, timeMs: 4_000 },
      );
    },
  },
];
