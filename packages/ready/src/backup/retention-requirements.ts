import type { RecoveryPoint, RetentionPolicy } from "@vdc-os/core/backup/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import type { BackupRequirement, BackupTest } from "./backup-instance.ts";
import {
  backUp,
  change,
  contentOf,
  diskBytes,
  entriesOf,
  kib,
  makeDisk,
  mustRestore,
  noise,
  pointNames,
  rewrite,
} from "./test-disk.ts";

/** Which points are kept, and what becomes of the space of others. */
export const retentionRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.prune.last",
    title: "the newest points are kept, and the others deleted; those that are kept are restored bit for bit",
    clause: "prune: Deletes the points that a policy does not keep; RetentionPolicy.last: That many newest points.",
    level: "core",
    async run(test) {
      let disk = await makeDisk(test, "disk");
      const made: { readonly point: RecoveryPoint; readonly content: Uint8Array }[] = [];
      for (const [n, name] of ["p0", "p1", "p2", "p3"].entries()) {
        disk = await change(disk, n * 64 * kib, noise(name));
        made.push({ point: await backUp(test, name, entriesOf(disk)), content: disk.content });
      }
      const ids = made.map(({ point }) => point.recoveryPointId);
      const report = await test.provider.prune({ keep: { last: 2 } }, test.operation());
      mustEqual([report.removed.toSorted(), report.kept], [ids.slice(0, 2).toSorted(), 2], "what was removed and kept");
      mustEqual(await pointNames(test), ["p2", "p3"], "the points that are kept");
      for (const recoveryPointId of ids.slice(0, 2)) {
        const call = test.provider.getRecoveryPoint({ recoveryPointId }, test.operation());
        await mustReject(call, "NOT_FOUND", "get of a point that was pruned");
      }
      for (const { point, content } of made.slice(2)) await mustRestore(test, point, content);
      mustEqual((await test.provider.verify({}, test.operation())).damages, [], "the damages after a prune");
      const more = await change(disk, 512 * kib, noise("more"));
      await mustRestore(test, await backUp(test, "p4", entriesOf(more)), more.content);
    },
  },
  {
    id: "backup.prune.newest-stays",
    title: "the newest point of each subject is always kept",
    clause: "RetentionPolicy: those that any of these rules keeps, and always the newest",
    level: "core",
    async run(test) {
      await makeTwoSubjects(test);
      const { removed, kept } = await test.provider.prune({ keep: { last: 0 } }, test.operation());
      mustEqual([removed.length, kept], [2, 2], "how many points were removed and kept");
      mustEqual((await pointNames(test)).toSorted(), ["one-2", "two-2"], "the points that are kept");
    },
  },
  {
    id: "backup.prune.subject",
    title: "a prune of a subject leaves the points of others alone",
    clause: "prune: Deletes the points that a policy does not keep, of one subject or all",
    level: "core",
    async run(test) {
      await makeTwoSubjects(test);
      const { removed, kept } = await test.provider.prune({ subject: "one", keep: { last: 1 } }, test.operation());
      mustEqual([removed.length, kept], [1, 1], "how many points of the subject were removed and kept");
      mustEqual((await pointNames(test)).toSorted(), ["one-2", "two-1", "two-2"], "the points that are kept");
      const nobody = await test.provider.prune({ subject: "on", keep: { last: 0 } }, test.operation());
      mustEqual([nobody.removed, nobody.kept], [[], 0], "what a prune of a subject that is not removed and kept");
    },
  },
  {
    id: "backup.prune.calendar",
    title: "of days, weeks from Monday and months, in UTC, the newest point of each is kept",
    clause:
      "RetentionPolicy.daily, weekly, monthly: One of each of that many days, weeks or months, those without points not counted; weeks ISO 8601: from Monday; of each that has points, the newest one is kept",
    level: "core",
    async run(test) {
      const { setNow } = test.instance;
      if (setNow === undefined) return test.skip("the factory has no 'setNow'");
      const disk = await makeDisk(test, "disk", { bytes: 64 * kib });
      for (const [name, now] of Object.entries(calendar)) {
        setNow(Date.parse(now));
        await backUp(test, name, entriesOf(disk));
      }
      const items = (await test.provider.listRecoveryPoints({}, test.operation())).items;
      mustEqual(
        items.map(({ createdAt }) => new Date(createdAt).toISOString().slice(0, 16)),
        Object.values(calendar).map((now) => now.slice(0, 16)),
        "the moments of the points by the clock that was set",
      );
      const keptBy = async (keep: RetentionPolicy): Promise<string> => {
        const { removed } = await test.provider.prune({ keep, dryRun: true }, test.operation());
        const kept = items.filter(({ recoveryPointId }) => !removed.includes(recoveryPointId));
        return kept.map(({ name }) => name).join("");
      };
      const wanted: readonly (readonly [RetentionPolicy, string])[] = [
        [{ daily: 2 }, "fg"],
        [{ daily: 5 }, "cdefg"],
        [{ daily: 6 }, "bcdefg"],
        [{ weekly: 2 }, "eg"],
        [{ weekly: 3 }, "deg"],
        [{ weekly: 50 }, "deg"],
        [{ monthly: 1 }, "g"],
        [{ monthly: 2 }, "fg"],
        [{ last: 1, weekly: 2, monthly: 2 }, "efg"],
        [{ last: 4, daily: 1 }, "defg"],
        [{ daily: 0, weekly: 0, monthly: 0 }, "g"],
      ];
      for (const [policy, kept] of wanted) {
        mustEqual(await keptBy(policy), kept, `the points that ${JSON.stringify(policy)} keeps`);
      }
      await test.provider.prune({ keep: { daily: 2, weekly: 2 } }, test.operation());
      mustEqual((await pointNames(test)).join(""), "efg", "the points after a prune by days and weeks");
    },
  },
  {
    id: "backup.prune.no-policy",
    title: "without a policy all points are kept",
    clause: "prune: Without a policy it keeps all points.",
    level: "core",
    async run(test) {
      await makeTwoSubjects(test);
      const { removed, kept } = await test.provider.prune({}, test.operation());
      mustEqual([removed, kept], [[], 4], "what was removed and kept");
      mustEqual((await pointNames(test)).length, 4, "the number of points after a prune without a policy");
    },
  },
  {
    id: "backup.prune.dry-run",
    title: "a dry run says what would be removed, and removes nothing",
    clause: "PruneReport: What a prune removed, or would remove; freedBytes: 0 for a dry run",
    level: "core",
    async run(test) {
      await makeTwoSubjects(test);
      const before = await test.provider.status({}, test.operation());
      const plan = await test.provider.prune({ keep: { last: 1 }, dryRun: true }, test.operation());
      mustEqual([plan.removed.length, plan.kept, plan.freedBytes], [2, 2, 0], "what would be removed, kept and freed");
      mustEqual((await pointNames(test)).length, 4, "the number of points after a dry run");
      mustEqual(await test.provider.status({}, test.operation()), before, "the status after a dry run");
      const report = await test.provider.prune({ keep: { last: 1 } }, test.operation());
      mustEqual(report.removed.toSorted(), plan.removed.toSorted(), "what was removed");
    },
  },
  {
    id: "backup.prune.frees",
    title: "space that nothing uses comes back, and what is shared stays",
    clause:
      "deleteRecoveryPoint: Its space comes back with the next `prune`; PruneReport.freedBytes: What the repository has become smaller by.",
    level: "core",
    async run(test) {
      const { provider } = test;
      const disk = await makeDisk(test, "disk");
      const first = await backUp(test, "p1", entriesOf(disk));
      const other = await rewrite(disk, contentOf("nothing in common", diskBytes));
      const second = await backUp(test, "p2", entriesOf(other));
      const third = await backUp(test, "p3", entriesOf(other));
      const deleteOne = ({ recoveryPointId }: RecoveryPoint) =>
        provider.deleteRecoveryPoint({ recoveryPointId }, test.operation());
      await deleteOne(first);
      await deleteOne(second);
      const full = await provider.status({}, test.operation());
      const report = await provider.prune({}, test.operation());
      const half = await provider.status({}, test.operation());
      const own = first.disks[0]?.dataBytes ?? 0;
      must(
        report.freedBytes >= own / 2 && half.storedBytes <= full.storedBytes - own / 2,
        `most of ${own} bytes that only a deleted point had must come back, and ${report.freedBytes} did`,
      );
      mustEqual(report.freedBytes, full.storedBytes - half.storedBytes, "what the repository has become smaller by");
      await mustRestore(test, third, other.content);
      mustEqual((await provider.verify({}, test.operation())).damages, [], "the damages after a prune");
      await deleteOne(third);
      await provider.prune({}, test.operation());
      const { storedBytes, dataBytes } = await provider.status({}, test.operation());
      mustEqual(dataBytes, 0, "the data of no points");
      must(storedBytes < own / 4, `a repository without points must be small, and has ${storedBytes} bytes`);
    },
  },
  {
    id: "backup.prune.working",
    title: "a prune takes nothing from a backup that works meanwhile",
    clause: "prune: Deletes the points that a policy does not keep; gives back space that nothing uses",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const first = await backUp(test, "p1", entriesOf(disk));
      const { recoveryPointId } = first;
      await test.provider.deleteRecoveryPoint({ recoveryPointId }, test.operation());
      let pruned: Promise<PromiseSettledResult<unknown>[]> | undefined;
      const onProgress = (): void => {
        pruned ??= Promise.allSettled([test.provider.prune({ keep: { last: 1 } }, test.operation())]);
      };
      const second = await backUp(test, "p2", entriesOf(disk), { call: { onProgress } });
      const [outcome] = (await pruned) ?? [];
      if (outcome?.status === "rejected") {
        await mustReject(Promise.reject(outcome.reason), "ABORTED", "a prune while a backup works");
      }
      mustEqual(await pointNames(test), ["p2"], "the points");
      mustEqual((await test.provider.verify({}, test.operation())).damages, [], "the damages");
      await mustRestore(test, second, disk.content);
    },
  },
];

/** 1 January 2026 is a Thursday; the 4th and 1 February are Sundays. */
const calendar: Readonly<Record<string, string>> = {
  a: "2026-01-01T10:00:00Z",
  b: "2026-01-01T20:00:00Z",
  c: "2026-01-02T10:00:00Z",
  d: "2026-01-04T23:30:00Z",
  e: "2026-01-05T00:30:00Z",
  f: "2026-01-31T23:30:00Z",
  g: "2026-02-01T00:30:00Z",
};

/** Two points of each of two subjects. */
async function makeTwoSubjects(test: BackupTest): Promise<void> {
  const disk = await makeDisk(test, "disk", { bytes: 128 * kib });
  for (const n of [1, 2]) {
    for (const subject of ["one", "two"]) await backUp(test, `${subject}-${n}`, entriesOf(disk), { subject });
  }
}
