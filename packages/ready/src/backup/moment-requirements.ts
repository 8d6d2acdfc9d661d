import { must, mustEqual, mustReject } from "../suite/must.ts";
import type { BackupRequirement } from "./backup-instance.ts";
import {
  backUp,
  contentOf,
  detach,
  entriesOf,
  longBytes,
  makeDisk,
  mustBe,
  mustRestore,
  pointNames,
  readRestored,
  restoreOne,
  rewrite,
  tracesOn,
  withClient,
} from "./test-disk.ts";

/** Of which moment a point is. */
export const momentRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.moment.one-disk",
    title: "a disk that is overwritten while it is read is in the point as it was at one moment",
    clause: "RecoveryPoint: A subject's disks at one moment; createdAt: when the snapshot was taken",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const later = contentOf("later", longBytes);
      let written: Promise<unknown> | undefined;
      const onProgress = (): void => {
        written ??= rewrite(disk, later);
      };
      const point = await backUp(test, "p", entriesOf(disk), { call: { onProgress } });
      await written;
      const target = { kind: "new", storage: disk.storage.name, name: "again" } as const;
      const found = await readRestored(test, await restoreOne(test, point, target));
      // Which of both it is depends on when the moment was; it is never some of each.
      if (Buffer.compare(found, later) !== 0)
        mustBe(found, disk.content, "the disk as it was before it was overwritten");
      await mustRestore(test, await backUp(test, "q", entriesOf(disk)), written === undefined ? disk.content : later);
    },
  },
  {
    id: "backup.moment.group",
    title: "the disks of a subject are of one moment",
    clause:
      "CreateRecoveryPoint.disks: All of one moment; RecoveryPoint.consistency: `group` when the disks are of one moment",
    level: "core",
    async run(test) {
      const { storage } = test.instance;
      if (storage.provider.facets?.groupSnapshots === undefined) {
        return test.skip("the factory's storage has no facet 'groupSnapshots'");
      }
      const disks = [await makeDisk(test, "a"), await makeDisk(test, "b")] as const;
      const entries = entriesOf(...disks);
      // Each count is in the first disk before it is in the second.
      let count = 0;
      let stopped = false;
      const write = async (): Promise<void> => {
        await withClient(disks[0], (first) =>
          withClient(disks[1], async (second) => {
            while (!stopped) {
              count++;
              for (const client of [first, second]) await client.write(0, stampOf(count));
              await new Promise((resolve) => setImmediate(resolve));
            }
          }),
        );
      };
      const writing = write();
      const points = [];
      try {
        for (const name of ["p1", "p2", "p3"]) points.push(await backUp(test, name, entries));
      } finally {
        stopped = true;
        await writing;
      }
      for (const point of points) {
        mustEqual(point.consistency, "group", "the consistency of disks of one moment");
        const counts: number[] = [];
        for (const { diskId } of entries) {
          const target = { kind: "new", storage: storage.name, name: `${point.name}-${diskId}` } as const;
          const found = await readRestored(test, await restoreOne(test, point, target, { diskId }));
          counts.push(new DataView(found.buffer, found.byteOffset).getUint32(0));
        }
        // Before the first count both hold something else.
        const [a = 0, b = 0] = counts.map((value) => (value > count ? 0 : value));
        must(a === b || a === b + 1, `the first disk has count ${a} and the second ${b}: they are not of one moment`);
      }
    },
  },
  {
    id: "backup.moment.not-of-one",
    title: "disks that can't be had of one moment are refused with the reason, unless it is asked for one by one",
    clause:
      "CreateRecoveryPoint.consistency: `group` fails with `FAILED_PRECONDITION` where the disks can't be had of one moment; `perDisk` takes them one after the other then. Defaults to `group`.",
    level: "core",
    async run(test) {
      const { other } = test.instance;
      if (other === undefined) return test.skip("the factory has no 'other' storage");
      const disks = [await makeDisk(test, "a"), await makeDisk(test, "b", { storage: other })] as const;
      const before = await Promise.all(disks.map((disk) => tracesOn(test, disk)));
      const entries = entriesOf(...disks);
      const found = await backUp(test, "p", entries).then(
        (point) => point.consistency,
        async (error: unknown) => {
          await mustReject(Promise.reject(error), "FAILED_PRECONDITION", "disks that can't be had of one moment");
          return undefined;
        },
      );
      // A repository that can have them of one moment all the same may say so.
      if (found !== undefined) {
        mustEqual(found, "group", "the consistency that nobody asked to be less");
        return;
      }
      mustEqual(await pointNames(test), [], "the points after a refused call");
      mustEqual(await Promise.all(disks.map((disk) => tracesOn(test, disk))), before, "what is held of the disks");
      const point = await backUp(test, "p", entries, { consistency: "perDisk" });
      mustEqual(point.consistency, "perDisk", "the consistency of disks one by one");
      for (const [i, { content }] of disks.entries()) await mustRestore(test, point, content, { diskId: `disk${i}` });
    },
  },
  {
    id: "backup.moment.needs-generation",
    title: "a volume without snapshots is backed up when it is nobody's, in the generation that the caller names",
    clause:
      "BackupDisk.generation: Needed only where the provider has no snapshots: the volume, which nobody may have attached then, is attached read-only in this generation.",
    level: "core",
    async run(test) {
      const { plain } = test.instance;
      if (plain === undefined) return test.skip("the factory has no 'plain' storage");
      const disk = await makeDisk(test, "disk", { storage: plain });
      const [entry] = entriesOf(disk);
      must(entry !== undefined, "a disk was made");
      const disks = [{ ...entry, generation: 2 }];
      await mustReject(backUp(test, "p", disks), "FAILED_PRECONDITION", "a volume that is attached, without snapshots");
      mustEqual((await tracesOn(test, disk)).generation, 1, "the generation in which its owner has it");
      await detach(test, disk);
      await mustReject(backUp(test, "p", [entry]), "FAILED_PRECONDITION", "a volume without snapshots or a generation");
      mustEqual(await pointNames(test), [], "the points after refused calls");
      const point = await backUp(test, "p", disks);
      mustEqual(
        (await tracesOn(test, disk)).generation,
        undefined,
        "the generation in which it is attached afterwards",
      );
      await mustRestore(test, point, disk.content);
      const next = { volumeId: disk.volumeId, host: plain.host, access: "readOnly", generation: 2 } as const;
      await plain.provider.detachVolume(next, test.operation());
      const own = await plain.provider.attachVolume({ ...next, generation: 3 }, test.operation());
      mustEqual(own.generation, 3, "the generation of the next owner");
    },
  },
];

function stampOf(count: number): Uint8Array {
  const block = new Uint8Array(4096);
  new DataView(block.buffer).setUint32(0, count);
  return block;
}
