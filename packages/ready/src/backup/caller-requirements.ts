import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { mustKeepNoMemory } from "../suite/heap-growth.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { mustBeOverdue } from "../suite/overdue.ts";
import { mustEqualSoon, patiently } from "../suite/patience.ts";
import { strangeIds } from "../suite/strange-ids.ts";
import type { BackupRequirement } from "./backup-instance.ts";
import {
  backUp,
  entriesOf,
  kib,
  makeDisk,
  mustRestore,
  pointNames,
  restoreOne,
  tracesOn,
  volumesOf,
} from "./test-disk.ts";

/** Callers that come too late, that give up at any moment, that ask for strange things, and that ask again and again. */
export const callerRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.deadline.passed",
    title: "a change whose deadline has passed before it begins fails with DEADLINE_EXCEEDED, and has no effect",
    clause:
      'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."',
    level: "core",
    async run(test) {
      const { provider } = test;
      const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
      await backUp(test, "o", entriesOf(disk));
      const point = await backUp(test, "p", entriesOf(disk));
      const { recoveryPointId } = point;
      const before = await tracesOn(test, disk);
      const target = { kind: "new", storage: disk.storage.name, name: "late" } as const;
      await mustBeOverdue(test, {
        createRecoveryPoint: (context) =>
          provider.createRecoveryPoint({ name: "late", subject: "vm", disks: entriesOf(disk) }, context),
        restore: (context) => provider.restore({ recoveryPointId, disks: [{ diskId: "disk0", target }] }, context),
        deleteRecoveryPoint: (context) => provider.deleteRecoveryPoint({ recoveryPointId }, context),
        prune: (context) => provider.prune({ keep: { last: 1 } }, context),
        sweep: (context) => provider.sweep({}, context),
      });
      mustEqual(await pointNames(test), ["o", "p"], "the points after calls that came too late");
      mustEqual(await volumesOf(test, disk.storage), ["disk"], "the volumes");
      mustEqual(await tracesOn(test, disk), before, "what is held of the disk");
      await mustRestore(test, point, disk.content);
    },
  },
  {
    id: "backup.cancel.steps",
    title:
      "a backup that is given up at any moment makes its point or none, and the same call makes it then; nothing stays at the storage provider",
    clause:
      "A point is there wholly or not at all; Long operations end soon after they are cancelled; what they hold at storage providers is released.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
      const disks = entriesOf(disk);
      const names: string[] = [];
      await giveUpAtEveryStep(test, {
        what: "a backup",
        isCostly: true,
        codes: ["ABORTED"],
        call: (context, step) =>
          test.provider.createRecoveryPoint({ name: `step-${step}`, subject: "vm", disks }, context),
        async look(step, isDone) {
          const found = await pointNames(test);
          must(!isDone || found.includes(`step-${step}`), "a backup that was answered must have made its point");
          await patiently(() => backUp(test, `step-${step}`, disks));
          names.push(`step-${step}`);
          mustEqual((await pointNames(test)).toSorted(), names.toSorted(), "the points when it was repeated");
        },
      });
      const runs = async () => (await test.provider.status({}, test.operation())).runs;
      await mustEqualSoon(runs, [], "the runs that have not ended");
      const [first] = (await test.provider.listRecoveryPoints({}, test.operation())).items;
      if (first !== undefined) await mustRestore(test, first, disk.content);
      mustEqual((await test.provider.verify({}, test.operation())).damages, [], "the damages");
    },
  },
  {
    id: "backup.hostile.ids",
    title: "an id, a storage or a volume that never was is not found, whatever is in its name, and nothing is touched",
    clause: 'getRecoveryPoint, restore, verify: NOT_FOUND; deleteRecoveryPoint: "Deleting what is absent succeeds."',
    level: "core",
    async run(test) {
      const { provider } = test;
      const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
      const point = await backUp(test, "p", entriesOf(disk));
      const { name: storage } = disk.storage;
      for (const strange of strangeIds) {
        const call = provider.getRecoveryPoint({ recoveryPointId: strange }, test.operation());
        await mustReject(call, ["NOT_FOUND", "INVALID_ARGUMENT"], `the point '${strange}'`);
        await provider.deleteRecoveryPoint({ recoveryPointId: strange }, test.operation());
        const into = { kind: "volume", storage, volumeId: strange, generation: 2 } as const;
        await mustReject(restoreOne(test, point, into), ["NOT_FOUND", "INVALID_ARGUMENT"], `the volume '${strange}'`);
        const { items } = await provider.listRecoveryPoints({ subject: strange }, test.operation());
        mustEqual(items, [], `the points of subject '${strange}'`);
      }
      mustEqual(await pointNames(test), ["p"], "the points after that");
      mustEqual(await volumesOf(test, disk.storage), ["disk"], "the volumes after that");
      mustEqual(await provider.sweep({}, test.operation()), { runs: 0, volumes: 0 }, "what is left to sweep");
      await mustRestore(test, point, disk.content);
    },
  },
  {
    id: "backup.list.bounded-memory",
    title: "looking at the repository again and again keeps nothing",
    clause: "OperationContext: it ends with its call, and what the call read with it",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
      await backUp(test, "p", entriesOf(disk));
      await mustKeepNoMemory(
        async () => {
          await test.provider.listRecoveryPoints({}, test.operation());
          await test.provider.status({}, test.operation());
        },
        { calls: 50, bytesPerCall: 8_192, timeMs: 4_000 },
      );
    },
  },
];
