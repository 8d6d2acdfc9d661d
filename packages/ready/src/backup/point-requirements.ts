import { must, mustEqual, mustReject } from "../suite/must.ts";
import type { BackupRequirement } from "./backup-instance.ts";
import {
  backUp,
  change,
  contentOf,
  entriesOf,
  kib,
  makeDisk,
  mustBe,
  mustRestore,
  noise,
  pointNames,
  readAll,
  tracesOn,
  withClient,
} from "./test-disk.ts";

/** Making recovery points. */
export const pointRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.describe.repository",
    title: "the repository says which one it is, everywhere the same",
    clause: "describe: Attribute `repositoryId` names the repository.",
    level: "core",
    async run(test) {
      const { repositoryId } = test.description.attributes;
      must(
        typeof repositoryId === "string" && repositoryId !== "",
        "attribute 'repositoryId' must name the repository",
      );
      const status = await test.provider.status({}, test.operation());
      mustEqual(status.repositoryId, repositoryId, "the repository's id in its status");
      const provider = await test.wrap(await test.instance.reopen());
      const { attributes } = await provider.describe({ scope: {} }, test.operation());
      mustEqual(attributes.repositoryId, repositoryId, "the repository's id after a restart");
    },
  },
  {
    id: "backup.create.point",
    title: "a point is what was asked for, and can be had again by its id",
    clause:
      "createRecoveryPoint; RecoveryPoint: name, subject, labels, disks; getRecoveryPoint returns a recovery point",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const disks = entriesOf(disk);
      const labels = { purpose: "nightly", "a/b": "", constructor: "x" };
      const point = await backUp(test, "p", disks, { labels });
      mustEqual([point.name, point.subject, point.labels], ["p", "vm", labels], "name, subject and labels");
      const [only] = point.disks;
      mustEqual(
        point.disks.map(({ diskId, storage, volumeId, capacityBytes }) => [diskId, storage, volumeId, capacityBytes]),
        [["disk0", disk.storage.name, disk.volumeId, disk.content.length]],
        "the disks of the point",
      );
      mustEqual(point.consistency, "group", "the consistency of a single disk");
      mustEqual(only?.reading, "full", "how the first point of a disk is read");
      const data = disk.content.filter((byte) => byte !== 0).length;
      must(
        only !== undefined && only.dataBytes >= data && only.dataBytes <= disk.content.length,
        `what is not zero must be between ${data} and ${disk.content.length} bytes, and is ${only?.dataBytes}`,
      );
      must(only.readBytes >= data && only.newBytes > 0 && only.storedBytes > 0, "the point must count what it read");
      const { recoveryPointId } = point;
      mustEqual(await test.provider.getRecoveryPoint({ recoveryPointId }, test.operation()), point, "what get returns");
    },
  },
  {
    id: "backup.create.idempotent",
    title: "the same name again returns the point that is there, whatever the disk holds by now",
    clause: "CreateRecoveryPoint.name: Makes the call idempotent: repeated, it returns the point that is there.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const first = await backUp(test, "p", entriesOf(disk));
      await change(disk, 0, noise("later"));
      mustEqual(await backUp(test, "p", entriesOf(disk)), first, "what a repeated call returns");
      mustEqual(await pointNames(test), ["p"], "the points after a repeated call");
      await mustRestore(test, first, disk.content);
    },
  },
  {
    id: "backup.create.name-per-subject",
    title: "a name is unique in its subject alone",
    clause: "CreateRecoveryPoint.name: Unique in the subject.",
    level: "core",
    async run(test) {
      const [a, b] = [await makeDisk(test, "a"), await makeDisk(test, "b")];
      const first = await backUp(test, "p", entriesOf(a), { subject: "one" });
      const second = await backUp(test, "p", entriesOf(b), { subject: "two" });
      must(first.recoveryPointId !== second.recoveryPointId, "points of two subjects must have ids of their own");
      mustEqual([first.subject, second.subject], ["one", "two"], "the subjects");
      await mustRestore(test, first, a.content);
      await mustRestore(test, second, b.content);
    },
  },
  {
    id: "backup.create.conflict",
    title: "a name that a point of other disks has is refused",
    clause: "createRecoveryPoint: ALREADY_EXISTS; CreateRecoveryPoint.name: Unique in the subject.",
    level: "core",
    async run(test) {
      const [a, b] = [await makeDisk(test, "a"), await makeDisk(test, "b")];
      const first = await backUp(test, "p", entriesOf(a));
      await mustReject(backUp(test, "p", entriesOf(b)), "ALREADY_EXISTS", "the name with another volume");
      await mustReject(backUp(test, "p", entriesOf(a, b)), "ALREADY_EXISTS", "the name with one disk more");
      mustEqual(await pointNames(test), ["p"], "the points after refused calls");
      await mustRestore(test, first, a.content);
    },
  },
  {
    id: "backup.create.in-use",
    title: "the disk's owner goes on with it, and finds what it wrote",
    clause: "createRecoveryPoint: Makes a recovery point, while the disks are in use.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const after = noise("during");
      const found = await withClient(disk, async (client) => {
        await backUp(test, "p", entriesOf(disk));
        await client.write(0, after);
        await client.flush();
        return readAll(client, disk.content.length);
      });
      const expected = disk.content.slice();
      expected.set(after, 0);
      mustBe(found, expected, "the disk of whoever goes on with it");
      mustEqual(
        (await tracesOn(test, disk)).generation,
        1,
        "the generation in which the disk is attached after a backup",
      );
    },
  },
  {
    id: "backup.create.unknown-disk",
    title: "a disk that is not there is not found, and nothing is left",
    clause: "createRecoveryPoint: NOT_FOUND; A point is there wholly or not at all.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: 256 * kib });
      const before = await tracesOn(test, disk);
      const [good] = entriesOf(disk);
      must(good !== undefined, "a disk was made");
      const unknown = { ...good, diskId: "disk1", volumeId: "never-was" };
      await mustReject(backUp(test, "p", [good, unknown]), "NOT_FOUND", "a point of a volume that is not");
      const elsewhere = { ...good, diskId: "disk1", storage: "no-such-storage" };
      await mustReject(backUp(test, "p", [good, elsewhere]), "NOT_FOUND", "a point of a storage that is not");
      mustEqual(await pointNames(test), [], "the points after refused calls");
      mustEqual(await tracesOn(test, disk), before, "what is held of the disk that is there");
      mustEqual((await test.provider.status({}, test.operation())).runs, [], "the runs after refused calls");
      await mustRestore(test, await backUp(test, "p", [good]), disk.content);
    },
  },
  {
    id: "backup.create.concurrent",
    title: "one run at a time works on a subject, and others are not kept from working",
    clause: "createRecoveryPoint: `ABORTED` while another run works on the subject",
    level: "core",
    async run(test) {
      const [a, b] = [await makeDisk(test, "a"), await makeDisk(test, "b")];
      let meanwhile: Promise<readonly PromiseSettledResult<unknown>[]> | undefined;
      const onProgress = (): void => {
        meanwhile ??= Promise.allSettled([
          backUp(test, "second", entriesOf(a)),
          backUp(test, "p", entriesOf(b), { subject: "other" }),
        ]);
      };
      const first = await backUp(test, "first", entriesOf(a), { call: { onProgress } });
      must(meanwhile !== undefined, "a run must report progress");
      const [second, other] = await meanwhile;
      if (second?.status === "rejected") {
        await mustReject(Promise.reject(second.reason), "ABORTED", "a second run of a subject");
        mustEqual((await pointNames(test)).includes("second"), false, "whether a refused run made a point");
      }
      mustEqual(other?.status, "fulfilled", "how the run of another subject went");
      await mustRestore(test, first, a.content);
      const names = (await pointNames(test)).filter((name) => name === "first" || name === "p");
      mustEqual(names.toSorted(), ["first", "p"], "the points of both subjects");
      // It is no more than busy: the same call succeeds now.
      await mustRestore(test, await backUp(test, "second", entriesOf(a)), a.content);
    },
  },
  {
    id: "backup.create.hostile-names",
    title:
      "subjects, disks and labels are texts, and nothing else: none is taken for another one, a path or a property",
    clause: "CreateRecoveryPoint.subject: What the disks belong to; a text of 1 to 256 characters",
    level: "core",
    async run(test) {
      const subjects = [
        ...[
          "../../outside",
          "..",
          "a/b",
          "a\\b",
          "a",
          "A",
          " a",
          "a\nb",
          "a\0b",
          "con",
          "~",
          "$(id)",
          "%2e%2e%2f",
          "*",
        ],
        // Both are an "o" with two dots.
        ..."\u00f6 o\u0308 __proto__ constructor".split(" "),
        "x".repeat(256),
        "x".repeat(255),
      ];
      const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
      const [entry] = entriesOf(disk);
      must(entry !== undefined, "a disk was made");
      const disks = [{ ...entry, diskId: "constructor" }];
      const ids = new Map<string, string>();
      for (const subject of subjects) {
        const point = await backUp(test, "constructor", disks, { subject, labels: { subject } });
        mustEqual([point.subject, point.labels.subject], [subject, subject], "the subject");
        ids.set(subject, point.recoveryPointId);
      }
      mustEqual(new Set(ids.values()).size, subjects.length, "the number of points of subjects that are not the same");
      const provider = await test.wrap(await test.instance.reopen());
      for (const subject of subjects) {
        const { items } = await provider.listRecoveryPoints({ subject }, test.operation());
        mustEqual(
          items.map(({ recoveryPointId, labels }) => [recoveryPointId, labels.subject]),
          [[ids.get(subject), subject]],
          `the points of subject ${JSON.stringify(subject.slice(0, 20))}`,
        );
      }
      const recoveryPointId = ids.get("../../outside") ?? "";
      await provider.deleteRecoveryPoint({ recoveryPointId }, test.operation());
      mustEqual((await pointNames(test, provider)).length, subjects.length - 1, "the number of points after a delete");
      await mustRestore(test, { recoveryPointId: ids.get("__proto__") ?? "" }, disk.content, {
        diskId: "constructor",
        provider,
      });
    },
  },
  {
    id: "backup.create.own-traces",
    title: "what others hold of a disk is left alone: their snapshots stay",
    clause:
      "Long operations: what they hold at storage providers is released. `sweep` removes what interrupted runs left.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const snapshots = test.instance.storage.provider.facets?.snapshots;
      if (snapshots === undefined) return test.skip("the factory's storage has no facet 'snapshots'");
      await snapshots.createSnapshot({ name: "by-hand", volumeId: disk.volumeId }, test.operation());
      await backUp(test, "p1", entriesOf(disk));
      await backUp(test, "p2", entriesOf(disk, await makeDisk(test, "other", { content: contentOf("x") })));
      await test.provider.prune({ keep: { last: 1 } }, test.operation());
      await test.provider.sweep({}, test.operation());
      const found = await tracesOn(test, disk);
      must(found.snapshots.includes("by-hand"), "a snapshot that was made by hand must be there still");
    },
  },
];
