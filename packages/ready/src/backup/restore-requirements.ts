import { must, mustEqual, mustReject } from "../suite/must.ts";
import type { BackupRequirement, BackupTest } from "./backup-instance.ts";
import {
  backUp,
  contentOf,
  detach,
  diskBytes,
  entriesOf,
  kib,
  makeDisk,
  mustBe,
  readAll,
  readRestored,
  readVolume,
  restoreOne,
  type TestDisk,
  tracesOn,
  volumesOf,
  withClient,
} from "./test-disk.ts";

/** A volume that nobody has attached, full of something else. Its highest generation is 1. */
async function makeTarget(test: BackupTest, bytes: number = diskBytes): Promise<TestDisk> {
  const disk = await makeDisk(test, "target", { content: new Uint8Array(bytes).fill(0x7a), bytes });
  await detach(test, disk);
  return disk;
}

/** A volume as a target, in generation 2. */
const into = ({ storage, volumeId }: TestDisk, generation = 2) =>
  ({ kind: "volume", storage: storage.name, volumeId, generation }) as const;

async function mustBeUntouched(test: BackupTest, { storage, volumeId, content }: TestDisk, generation: number) {
  const found = await readVolume(test, storage, { volumeId, bytes: content.length, generation });
  mustBe(found, content, "the volume that nothing was restored into");
}

/** Restoring disks. */
export const restoreRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.restore.new",
    title: "a disk is restored bit for bit into a new volume, which is nobody's then",
    clause:
      "restore: Writes disks of a point into volumes; RestoredDisk: The volume is detached; generation: the next owner takes a higher one",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = { kind: "new", storage: disk.storage.name, name: "again" } as const;
      const restored = await restoreOne(test, point, target);
      mustEqual(
        [restored.diskId, restored.storage, restored.capacityBytes],
        ["disk0", disk.storage.name, disk.content.length],
        "disk, storage and size of what was restored",
      );
      const { volumeId } = restored;
      const volume = await disk.storage.provider.getVolume({ volumeId }, test.operation());
      mustEqual([volume.name, volume.capacityBytes], ["again", disk.content.length], "name and size of the new volume");
      must(volumeId !== disk.volumeId, "a new volume is another one");
      must(restored.writtenBytes <= disk.content.length, "zeroes are left out in a new volume");
      mustEqual((await tracesOn(test, { ...disk, volumeId })).generation, undefined, "the generation of its owner");
      mustBe(await readRestored(test, restored), disk.content, "the new volume");
    },
  },
  {
    id: "backup.restore.sizes",
    title: "disks smaller than a chunk, of zeroes alone, and not of whole chunks come back as they were",
    clause: "restore: Writes disks of a point into volumes.",
    level: "core",
    async run(test) {
      const { storage } = test.instance;
      const contents = [
        contentOf("tiny", 4 * kib),
        new Uint8Array(512 * kib),
        contentOf("odd", 68 * kib),
        contentOf("chunk", 64 * kib),
      ];
      for (const [n, content] of contents.entries()) {
        const disk = await makeDisk(test, `disk-${n}`, { content, bytes: content.length });
        const point = await backUp(test, "p", entriesOf(disk), { subject: `vm-${n}` });
        const target = { kind: "new", storage: storage.name, name: `again-${n}` } as const;
        const restored = await restoreOne(test, point, target);
        mustBe(await readRestored(test, restored), content, `a disk of ${content.length} bytes`);
      }
    },
  },
  {
    id: "backup.restore.volume",
    title: "a volume is overwritten, zeroes too, in the generation that the caller names",
    clause: "RestoreTarget volume: A volume that nobody has attached. It is overwritten, attached in this generation.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = await makeTarget(test);
      const { host } = target.storage;
      const restored = await restoreOne(test, point, into(target, 5));
      mustEqual([restored.volumeId, restored.generation], [target.volumeId, 5], "volume and generation");
      const late = { volumeId: target.volumeId, host, access: "readOnly", generation: 4 } as const;
      const older = target.storage.provider.attachVolume(late, test.operation());
      await mustReject(older, "FAILED_PRECONDITION", "an owner of a generation before that of the restore");
      mustBe(await readRestored(test, restored), disk.content, "the volume that was restored into");
      const found = await withClient(disk, (client) => readAll(client, disk.content.length));
      mustBe(found, disk.content, "the disk that was backed up");
    },
  },
  {
    id: "backup.restore.larger",
    title: "a larger volume has the disk at its beginning",
    clause: "RestoreTarget volume: A volume that nobody has attached, at least as large.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = await makeTarget(test, diskBytes + 1024 * kib);
      const { generation } = await restoreOne(test, point, into(target));
      const at = { volumeId: target.volumeId, bytes: diskBytes, generation: generation + 1 };
      mustBe(await readVolume(test, target.storage, at), disk.content, "the beginning of the volume");
    },
  },
  {
    id: "backup.restore.smaller",
    title: "a volume that is too small is refused and not touched",
    clause: "RestoreTarget volume: at least as large; restore: FAILED_PRECONDITION, OUT_OF_RANGE",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = await makeTarget(test, diskBytes - 4 * kib);
      const call = restoreOne(test, point, into(target));
      await mustReject(call, ["OUT_OF_RANGE", "FAILED_PRECONDITION"], "a restore into a volume that is too small");
      await mustBeUntouched(test, target, 3);
    },
  },
  {
    id: "backup.restore.attached",
    title: "a volume that somebody has attached is refused, and its owner keeps it",
    clause: "RestoreTarget volume: A volume that nobody has attached; restore: FAILED_PRECONDITION",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = await makeDisk(test, "target");
      await mustReject(
        restoreOne(test, point, into(target)),
        "FAILED_PRECONDITION",
        "a restore into an attached volume",
      );
      const found = await withClient(target, (client) => readAll(client, target.content.length));
      mustBe(found, target.content, "the volume of its owner");
      mustEqual((await tracesOn(test, target)).generation, 1, "the generation of its owner");
    },
  },
  {
    id: "backup.restore.fenced",
    title: "a generation that is not higher than any before is refused",
    clause:
      "Generation: A call with a lower generation than the highest that the provider has seen fails with `FAILED_PRECONDITION`",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = await makeTarget(test);
      const { storage, volumeId } = target;
      await readVolume(test, storage, { volumeId, bytes: 4 * kib, generation: 7 });
      await mustReject(
        restoreOne(test, point, into(target, 6)),
        "FAILED_PRECONDITION",
        "a restore of an old generation",
      );
      await mustBeUntouched(test, target, 8);
    },
  },
  {
    id: "backup.restore.taken-name",
    title: "a name that another volume has is refused, and the volume not touched",
    clause:
      "RestoreTarget new: A volume that does not exist yet. Another one of that name fails with `ALREADY_EXISTS`.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      // Of the same size, so that nothing but the name is in the way.
      const target = await makeTarget(test);
      const call = restoreOne(test, point, { kind: "new", storage: disk.storage.name, name: "target" });
      await mustReject(call, "ALREADY_EXISTS", "a restore into a name that is taken");
      await mustBeUntouched(test, target, 2);
      await test.provider.sweep({}, test.operation());
      mustEqual((await volumesOf(test, disk.storage)).toSorted(), ["disk", "target"], "the volumes after a sweep");
    },
  },
  {
    id: "backup.restore.repeated",
    title: "a restore that ended and is repeated returns what it returned, and writes nothing again",
    clause: "restore: A repeated call returns what one that ended returned.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = { kind: "new", storage: disk.storage.name, name: "again" } as const;
      const first = await restoreOne(test, point, target);
      // It is somebody's by now, and was written to.
      const { volumeId } = first;
      const owner = {
        volumeId,
        host: disk.storage.host,
        access: "readWrite",
        generation: first.generation + 1,
      } as const;
      const attachment = await disk.storage.provider.attachVolume(owner, test.operation());
      const own = contentOf("its own", 64 * kib);
      await withClient({ ...disk, attachment }, async (client) => {
        await client.write(0, own);
        await client.flush();
      });
      mustEqual(await restoreOne(test, point, target), first, "what a repeated call returns");
      const provider = await test.wrap(await test.instance.reopen());
      mustEqual(await restoreOne(test, point, target, { provider }), first, "what it returns after a restart");
      mustEqual((await volumesOf(test, disk.storage)).toSorted(), ["again", "disk"], "the volumes");
      const found = await withClient({ ...disk, attachment }, (client) => readAll(client, 64 * kib));
      mustBe(found, own, "what the volume's owner wrote since");
    },
  },
  {
    id: "backup.restore.some",
    title: "one disk, some or all are restored, in the order that was asked for",
    clause: "Restore.disks: Which disks, and where to. One, some or all.",
    level: "core",
    async run(test) {
      const { storage } = test.instance;
      const disks = [await makeDisk(test, "a"), await makeDisk(test, "b")] as const;
      for (const disk of disks) await detach(test, disk);
      const { recoveryPointId } = await backUp(test, "p", entriesOf(...disks));
      const one = { kind: "new", storage: storage.name, name: "one" } as const;
      const found = await restoreOne(test, { recoveryPointId }, one, { diskId: "disk1" });
      mustBe(await readRestored(test, found), disks[1].content, "the second disk alone");
      mustEqual((await volumesOf(test, storage)).toSorted(), ["a", "b", "one"], "the volumes after one was restored");
      const wanted = ["disk1", "disk0"].map((diskId) => ({ diskId, target: { ...one, name: `all-${diskId}` } }));
      const all = await test.provider.restore({ recoveryPointId, disks: wanted }, test.operation());
      mustEqual(
        all.disks.map(({ diskId }) => diskId),
        ["disk1", "disk0"],
        "the disks that were restored",
      );
      for (const [i, content] of [disks[1].content, disks[0].content].entries()) {
        const each = all.disks[i];
        if (each !== undefined) mustBe(await readRestored(test, each), content, `disk '${each.diskId}'`);
      }
    },
  },
  {
    id: "backup.restore.other-storage",
    title: "a disk is restored to another storage than it came from",
    clause: "RestoreTarget.storage",
    level: "core",
    async run(test) {
      const { other } = test.instance;
      if (other === undefined) return test.skip("the factory has no 'other' storage");
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      await detach(test, disk);
      const restored = await restoreOne(test, point, { kind: "new", storage: other.name, name: "again" });
      mustEqual(restored.storage, other.name, "the storage of the new volume");
      mustBe(await readRestored(test, restored, other), disk.content, "the new volume");
    },
  },
  {
    id: "backup.restore.source-gone",
    title: "a disk whose volume was deleted is restored from its points",
    clause: "A point is there wholly or not at all, and does not change.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const { storage, volumeId } = disk;
      await detach(test, disk);
      await storage.provider.deleteVolume({ volumeId }, test.operation());
      mustEqual(await volumesOf(test, storage), [], "the volumes after the disk was deleted");
      const restored = await restoreOne(test, point, { kind: "new", storage: storage.name, name: "disk" });
      mustBe(await readRestored(test, restored), disk.content, "the disk that was lost");
    },
  },
  {
    id: "backup.restore.unknown-target",
    title: "disks, volumes and storage that are not there are not found, and nothing is left",
    clause: "restore: NOT_FOUND",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const { name: storage } = disk.storage;
      const target = { kind: "new", storage, name: "again" } as const;
      for (const diskId of ["disk9", "constructor"]) {
        await mustReject(restoreOne(test, point, target, { diskId }), "NOT_FOUND", `disk '${diskId}' of a point`);
      }
      const nowhere = restoreOne(test, point, { ...target, storage: "no-such-storage" });
      await mustReject(nowhere, "NOT_FOUND", "a storage that is not");
      const missing = restoreOne(test, point, { kind: "volume", storage, volumeId: "never-was", generation: 1 });
      await mustReject(missing, "NOT_FOUND", "a volume that is not");
      mustEqual(await volumesOf(test, disk.storage), ["disk"], "the volumes after refused calls");
      mustEqual(await test.provider.sweep({}, test.operation()), { runs: 0, volumes: 0 }, "what is left to sweep");
    },
  },
];
