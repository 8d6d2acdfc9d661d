import { must, mustEqual } from "../suite/must.ts";
import type { BackupRequirement } from "./backup-instance.ts";
import { backUp, change, entriesOf, kib, makeDisk, mustRestore, noise, rewrite } from "./test-disk.ts";

/** What a recovery point reads of a disk: all of it, or what has changed. */
export const readingRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.create.full",
    title: "a full point reads everything, also where it is known what has changed",
    clause: "CreateRecoveryPoint.mode: `full` reads everything.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      await backUp(test, "p1", entriesOf(disk));
      const point = await backUp(test, "p2", entriesOf(disk), { mode: "full" });
      const [read] = point.disks;
      mustEqual(read?.reading, "full", "how a disk is read that is asked for in full");
      const data = disk.content.filter((byte) => byte !== 0).length;
      must((read?.readBytes ?? 0) >= data, `all ${data} bytes of data must be read, and ${read?.readBytes} were`);
      await mustRestore(test, point, disk.content);
    },
  },
  {
    id: "backup.create.incremental",
    title: "a point after another reads what has changed, or says why it reads more; it adds what is new",
    clause:
      "CreateRecoveryPoint.mode: `auto` reads what has changed since the point before where that is known; RecoveryPointDisk.because: Why it was not read by its changes alone; newBytes: What of that the repository did not have yet.",
    level: "core",
    async run(test) {
      const { chunkBytes } = await test.provider.status({}, test.operation());
      const disk = await makeDisk(test, "disk");
      const first = await backUp(test, "p1", entriesOf(disk));
      const changed = await change(disk, 1024 * kib, noise("changed"));
      const second = await backUp(test, "p2", entriesOf(changed));
      const [read] = second.disks;
      must(read !== undefined, "the point must have its disk");
      must(
        read.reading === "changed" ? read.readBytes <= disk.content.length / 2 : (read.because ?? "") !== "",
        `a disk of which one block has changed is read by its changes, or says why not: it is read '${read.reading}', ${read.readBytes} bytes`,
      );
      must(
        read.newBytes > 0 && read.newBytes <= chunkBytes,
        `one block that has changed is at most one chunk that is new, and not ${read.newBytes} bytes`,
      );
      const third = await backUp(test, "p3", entriesOf(changed));
      mustEqual(third.disks[0]?.newBytes, 0, "the new bytes of a disk that has not changed");
      await mustRestore(test, first, disk.content);
      await mustRestore(test, second, changed.content);
      await mustRestore(test, third, changed.content);
    },
  },
  {
    id: "backup.create.zeroes",
    title: "what has become zero is zero in the next point, and takes nothing",
    clause: "RecoveryPoint: A subject's disks at one moment; RecoveryPointDisk.dataBytes: What of it is not zero.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const first = await backUp(test, "p1", entriesOf(disk));
      const empty = await rewrite(disk, new Uint8Array(disk.content.length));
      const second = await backUp(test, "p2", entriesOf(empty));
      mustEqual(second.disks[0]?.dataBytes, 0, "what is not zero of a disk of zeroes");
      await mustRestore(test, second, empty.content);
      await mustRestore(test, first, disk.content);
    },
  },
  {
    id: "backup.create.resized",
    title: "a point has the size that the disk had at that moment",
    clause: "RecoveryPointDisk.capacityBytes: Virtual size at that moment.",
    level: "core",
    async run(test) {
      const { storage } = test.instance;
      const { facets } = storage.provider;
      if (facets?.resize === undefined) return test.skip("the factory's storage has no facet 'resize'");
      const disk = await makeDisk(test, "disk");
      const first = await backUp(test, "p1", entriesOf(disk));
      const { volumeId } = disk;
      const capacityBytes = disk.content.length + 1024 * kib;
      await facets.resize.resizeVolume({ volumeId, capacityBytes }, test.operation());
      const content = new Uint8Array(capacityBytes);
      content.set(disk.content);
      const { attachment } = await storage.provider.getAttachment({ volumeId }, test.operation());
      const larger = await change(
        { ...disk, content, attachment: attachment ?? disk.attachment },
        capacityBytes - 4 * kib,
        noise("end"),
      );
      const second = await backUp(test, "p2", entriesOf(larger));
      mustEqual(
        [first, second].map(({ disks }) => disks[0]?.capacityBytes),
        [disk.content.length, capacityBytes],
        "the sizes of the disk in both points",
      );
      await mustRestore(test, second, larger.content);
      await mustRestore(test, first, disk.content);
    },
  },
];
