import { must, mustEqual, mustReject } from "../suite/must.ts";
import type { BackupRequirement, BackupTest } from "./backup-instance.ts";
import { backUp, change, entriesOf, kib, makeDisk, mustRestore, noise, pointNames } from "./test-disk.ts";

/** Finding and deleting points. */
export const listRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.list.paged",
    title: "points are listed oldest first, the same in pages of one as in one page",
    clause: "listRecoveryPoints: Oldest first; PageRequest.limit: At most this many items.",
    level: "core",
    async run(test) {
      await makePoints(test);
      const all = (await test.provider.listRecoveryPoints({}, test.operation())).items;
      mustEqual(
        all.map(({ name }) => name),
        ["z", "y", "m", "b", "a"],
        "the points, oldest first",
      );
      const times = all.map(({ createdAt }) => createdAt);
      mustEqual(
        times.toSorted((a, b) => a - b),
        times,
        "the moments, in the order of the list",
      );
      for (const limit of [1, 2]) {
        const paged = [];
        let pageToken: string | undefined;
        do {
          const token = pageToken === undefined ? {} : { pageToken };
          const page = await test.provider.listRecoveryPoints({ limit, ...token }, test.operation());
          must(page.items.length <= limit, `a page of at most ${limit} has ${page.items.length} points`);
          paged.push(...page.items);
          pageToken = page.nextPageToken;
        } while (pageToken !== undefined && paged.length < 20);
        mustEqual(paged, all, `the points in pages of ${limit}`);
      }
    },
  },
  {
    id: "backup.list.subject",
    title: "the points of one subject can be had alone, by page too",
    clause: "listRecoveryPoints: PageRequest & { subject? }",
    level: "core",
    async run(test) {
      await makePoints(test);
      const { provider } = test;
      const list = async (subject: string) => {
        const { items } = await provider.listRecoveryPoints({ subject }, test.operation());
        return items.map(({ name }) => name);
      };
      mustEqual(
        [await list("one"), await list("two")],
        [
          ["z", "m", "a"],
          ["y", "b"],
        ],
        "the points by subject",
      );
      mustEqual(await list("on"), [], "the points of a subject that is not");
      const { nextPageToken } = await provider.listRecoveryPoints({ subject: "one", limit: 1 }, test.operation());
      must(nextPageToken !== undefined, "a page of one of three must have a next");
      const rest = await provider.listRecoveryPoints({ subject: "one", pageToken: nextPageToken }, test.operation());
      mustEqual(
        rest.items.map(({ name }) => name),
        ["m", "a"],
        "the points of the second page",
      );
    },
  },
  {
    id: "backup.list.token",
    title: "a page token that is unknown is refused",
    clause: "PageRequest.pageToken: A token that is unknown or too old fails with `ABORTED`: begin again.",
    level: "core",
    async run(test) {
      await makePoints(test);
      for (const pageToken of ["", "no such token", "../../etc/passwd", "\0"]) {
        const call = test.provider.listRecoveryPoints({ pageToken }, test.operation());
        await mustReject(call, "ABORTED", `page token ${JSON.stringify(pageToken)}`);
      }
    },
  },
  {
    id: "backup.get.unknown",
    title: "a point that is not there is not found, by every operation that needs it",
    clause: "getRecoveryPoint, restore, verify: NOT_FOUND",
    level: "core",
    async run(test) {
      const { provider } = test;
      const target = { kind: "new", storage: test.instance.storage.name, name: "again" } as const;
      for (const recoveryPointId of ["never-was", "../never-was", "__proto__", "x".repeat(256)]) {
        await mustReject(provider.getRecoveryPoint({ recoveryPointId }, test.operation()), "NOT_FOUND", "get");
        await mustReject(provider.verify({ recoveryPointId }, test.operation()), "NOT_FOUND", "verify");
        const restore = provider.restore({ recoveryPointId, disks: [{ diskId: "disk0", target }] }, test.operation());
        await mustReject(restore, "NOT_FOUND", "restore");
      }
    },
  },
  {
    id: "backup.delete.removes",
    title: "a point that is deleted is gone, and its name is free",
    clause: "deleteRecoveryPoint; CreateRecoveryPoint.name: repeated, it returns the point that is there",
    level: "core",
    async run(test) {
      const { provider } = test;
      const disk = await makeDisk(test, "disk");
      const { recoveryPointId } = await backUp(test, "p", entriesOf(disk));
      await provider.deleteRecoveryPoint({ recoveryPointId }, test.operation());
      await mustReject(
        provider.getRecoveryPoint({ recoveryPointId }, test.operation()),
        "NOT_FOUND",
        "get after delete",
      );
      mustEqual(await pointNames(test), [], "the points after delete");
      mustEqual((await provider.status({}, test.operation())).recoveryPoints, 0, "the number of points after delete");
      const changed = await change(disk, 0, noise("changed"));
      await mustRestore(test, await backUp(test, "p", entriesOf(changed)), changed.content);
    },
  },
  {
    id: "backup.delete.absent",
    title: "deleting what is absent succeeds, and deletes nothing else",
    clause: "deleteRecoveryPoint: Deleting what is absent succeeds.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
      const { recoveryPointId } = await backUp(test, "p", entriesOf(disk));
      await backUp(test, "q", entriesOf(disk));
      for (const id of [recoveryPointId, recoveryPointId, "never-was", "..", "../points", "*", "__proto__"]) {
        await test.provider.deleteRecoveryPoint({ recoveryPointId: id }, test.operation());
      }
      mustEqual(await pointNames(test), ["q"], "the points after deletes");
    },
  },
  {
    id: "backup.delete.independent",
    title: "any point can be deleted, and the others are restored all the same: the base of others, and one in between",
    clause: "A point does not depend on other points: any can be restored, and any can be deleted.",
    level: "core",
    async run(test) {
      let disk = await makeDisk(test, "disk");
      const made = [];
      for (const [n, name] of ["p0", "p1", "p2", "p3"].entries()) {
        disk = await change(disk, n * 256 * kib, noise(name));
        made.push({ point: await backUp(test, name, entriesOf(disk)), content: disk.content });
      }
      for (const gone of [0, 2]) {
        const recoveryPointId = made[gone]?.point.recoveryPointId ?? "";
        await test.provider.deleteRecoveryPoint({ recoveryPointId }, test.operation());
      }
      await test.provider.prune({}, test.operation());
      const more = await change(disk, 512 * kib, noise("more"));
      made.push({ point: await backUp(test, "p4", entriesOf(more)), content: more.content });
      for (const kept of [1, 3, 4]) {
        const { point, content } = made[kept] ?? {};
        if (point !== undefined && content !== undefined) await mustRestore(test, point, content);
      }
      mustEqual((await test.provider.verify({}, test.operation())).damages, [], "the damages");
    },
  },
  {
    id: "backup.status.counts",
    title: "the status counts points, their data and what they take, and knows of no run when none works",
    clause:
      "RepositoryStatus.dataBytes: The sum of all disks of all points, zeroes left out; storedBytes: What it takes on disk; runs: that have not ended",
    level: "core",
    async run(test) {
      const empty = await test.provider.status({}, test.operation());
      mustEqual([empty.recoveryPoints, empty.dataBytes, empty.runs], [0, 0, []], "the status of an empty repository");
      const disk = await makeDisk(test, "disk");
      const points = [await backUp(test, "p", entriesOf(disk)), await backUp(test, "q", entriesOf(disk))];
      const dataBytes = points.flatMap(({ disks }) => disks).reduce((sum, each) => sum + each.dataBytes, 0);
      const { recoveryPoints, runs, ...status } = await test.provider.status({}, test.operation());
      mustEqual([recoveryPoints, status.dataBytes, runs], [2, dataBytes, []], "points, data and runs");
      must(status.storedBytes > empty.storedBytes, "two points must take something");
      must(
        status.storedBytes < empty.storedBytes + 1.5 * dataBytes,
        `what is in two points must be stored about once, and takes ${status.storedBytes} bytes for ${dataBytes}`,
      );
    },
  },
];

/** Points of two subjects in turn. Their names are in no order of theirs. */
async function makePoints(test: BackupTest): Promise<void> {
  const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
  for (const [n, name] of ["z", "y", "m", "b", "a"].entries()) {
    // A moment of a subject is its own, and two of several subjects may be the same: the clock moves on in between.
    const from = Date.now();
    while (Date.now() < from + 2) await new Promise((resolve) => setImmediate(resolve));
    await backUp(test, name, entriesOf(disk), { subject: n % 2 === 0 ? "one" : "two" });
  }
}
