import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import type { BackupRequirement } from "./backup-instance.ts";
import {
  backUp,
  change,
  entriesOf,
  makeDisk,
  mustBe,
  noise,
  readRestored,
  restoreOne,
  volumesOf,
} from "./test-disk.ts";

/** Verification, and what damage does. */
export const verifyRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.verify.well",
    title: "what is well is read, counted and found well: all points, or one",
    clause:
      "verify: Reads all data of one point or of all, and holds it against its hashes; VerifyReport.damages: Empty when all is well.",
    level: "core",
    async run(test) {
      const { provider } = test;
      const none = { recoveryPoints: 0, chunks: 0, bytes: 0, damages: [] };
      mustEqual(await provider.verify({}, test.operation()), none, "the report of an empty repository");
      const disk = await makeDisk(test, "disk");
      const { recoveryPointId } = await backUp(test, "p", entriesOf(disk));
      const data = disk.content.filter((byte) => byte !== 0).length;
      await backUp(test, "q", entriesOf(await change(disk, 0, noise("changed"))));
      const all = await provider.verify({}, test.operation());
      mustEqual([all.recoveryPoints, all.damages], [2, []], "points and damages");
      const one = await provider.verify({ recoveryPointId }, test.operation());
      mustEqual([one.recoveryPoints, one.damages], [1, []], "points and damages of one point");
      must(one.chunks > 0 && one.bytes > 0, "the data of a point must be read");
      must(all.chunks > one.chunks && all.bytes > one.bytes, "of all points more is read than of one of them");
      const { chunkBytes } = await provider.status({}, test.operation());
      must(
        one.bytes <= disk.content.length + chunkBytes && one.chunks * chunkBytes >= data / 2,
        `a disk with ${data} bytes of data can't be ${one.chunks} chunks of ${one.bytes} bytes`,
      );
    },
  },
  {
    id: "backup.verify.damage",
    title: "damage is found, and told of the points that it harms",
    clause: "Damage.recoveryPointId: The point that can't be restored wholly; VerifyReport.damages: At most 100.",
    level: "core",
    async run(test) {
      const { provider, instance } = test;
      if (instance.damage === undefined) return test.skip("the factory has no 'damage'");
      const [a, b] = [await makeDisk(test, "a"), await makeDisk(test, "b")];
      const harmed = await backUp(test, "p", entriesOf(a));
      const { recoveryPointId } = harmed;
      await instance.damage();
      const later = await backUp(test, "p", entriesOf(b), { subject: "later" });
      const report = await provider.verify({}, test.operation());
      mustEqual(report.recoveryPoints, 2, "the points that were looked at");
      must(
        report.damages.length > 0 && report.damages.length <= 100,
        `damages must be 1 to 100: ${report.damages.length}`,
      );
      must(
        report.damages.some((damage) => damage.recoveryPointId === recoveryPointId),
        "the point that is harmed must be named",
      );
      must(
        report.damages.every((damage) => damage.recoveryPointId !== later.recoveryPointId && damage.message !== ""),
        "a point that shares nothing with what is damaged must not be named",
      );
      const own = await provider.verify({ recoveryPointId }, test.operation());
      must(own.damages.length > 0, "damage must be found in the point alone");
      const well = await provider.verify({ recoveryPointId: later.recoveryPointId }, test.operation());
      mustEqual(well.damages, [], "the damages of a point that was made later");
    },
  },
  {
    id: "backup.verify.never-wrong",
    title: "a damaged point is not restored, and leaves nothing; others are",
    clause: "restore: DATA_LOSS; A point is there wholly or not at all, and does not change.",
    level: "core",
    async run(test) {
      const { instance } = test;
      const { storage } = instance;
      if (instance.damage === undefined) return test.skip("the factory has no 'damage'");
      const [a, b] = [await makeDisk(test, "a"), await makeDisk(test, "b")];
      const harmed = await backUp(test, "p", entriesOf(a));
      await instance.damage();
      const later = await backUp(test, "p", entriesOf(b), { subject: "later" });
      const target = { kind: "new", storage: storage.name, name: "again" } as const;
      try {
        const restored = await restoreOne(test, harmed, target);
        // It may be repaired from elsewhere, and then is what it was.
        mustBe(await readRestored(test, restored), a.content, "a disk of which data is damaged");
      } catch (error) {
        if (!isVdcError(error)) throw error;
        await mustReject(Promise.reject(error), "DATA_LOSS", "a restore of what is damaged");
        mustEqual((await volumesOf(test, storage)).toSorted(), ["a", "b"], "the volumes after a restore that failed");
      }
      const restored = await restoreOne(test, later, { ...target, name: "other" });
      mustBe(await readRestored(test, restored), b.content, "a disk that is not damaged");
    },
  },
];
