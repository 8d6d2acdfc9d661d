import { type Progress, VdcError } from "@vdc-os/core";
import type { BackupRepository } from "@vdc-os/core/backup/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import type { BackupRequirement, BackupTest } from "./backup-instance.ts";
import { mustEqualSoon, patiently } from "../suite/patience.ts";
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
  type TestDisk,
  tracesOn,
  volumesOf,
} from "./test-disk.ts";

/** Starts a call, ends its process at the first progress that it reports, and opens what is left. */
async function killed(
  test: BackupTest,
  start: (onProgress: () => void) => Promise<unknown>,
): Promise<BackupRepository> {
  const opened = Promise.withResolvers<BackupRepository>();
  let isKilled = false;
  const kill = (): void => {
    if (isKilled) return;
    isKilled = true;
    test.instance.reopen().then(opened.resolve, opened.reject);
  };
  // What becomes of the call is nobody's business once its process is dead.
  start(kill).then(kill, (error: unknown) => {
    if (!isKilled) opened.reject(error);
  });
  return test.wrap(await opened.promise);
}

/** Gives a call up at the first progress that it reports. Returns whether it was cancelled; one that was nearly done may end well. */
async function cancelled(
  start: (call: { readonly signal: AbortSignal; readonly onProgress: () => void }) => Promise<unknown>,
): Promise<boolean> {
  const controller = new AbortController();
  const onProgress = (): void => controller.abort(new VdcError("CANCELLED", "given up"));
  const call = start({ signal: controller.signal, onProgress });
  const isCancelled = await call.then(
    () => false,
    () => true,
  );
  if (isCancelled) await mustReject(call, "CANCELLED", "a call that was given up");
  must(controller.signal.aborted, "a call that takes a while must report progress");
  return isCancelled;
}

async function mustBeIdle(test: BackupTest, provider: BackupRepository, disks: readonly TestDisk[]): Promise<void> {
  mustEqual((await provider.status({}, test.operation())).runs, [], "the runs that have not ended");
  for (const disk of disks) mustEqual((await tracesOn(test, disk)).snapshots, [], "the snapshots of a disk");
}

/** Cancellation, kills, and what is left by them. */
export const interruptionRequirements: readonly BackupRequirement[] = [
  {
    id: "backup.progress.reported",
    title: "a backup and a restore tell how far they are; the status tells of a run while it works",
    clause: "Long operations report progress; BackupRun: A run that has not ended: it works now",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const told: Record<string, Progress[]> = { backup: [], restore: [] };
      let status: ReturnType<BackupRepository["status"]> | undefined;
      const note = (what: string) => (update: Progress) => void told[what]?.push(update);
      const onProgress = (update: Progress): void => {
        note("backup")(update);
        status ??= test.provider.status({}, test.operation());
      };
      const point = await backUp(test, "p", entriesOf(disk), { call: { onProgress } });
      const runs = ((await status)?.runs ?? []).map(({ name, subject, state, diskIds }) => [
        name,
        subject,
        state,
        diskIds,
      ]);
      // Over a pipe the run may have ended by the time it is asked for.
      if (runs.length > 0) mustEqual(runs, [["p", "vm", "working", ["disk0"]]], "the runs while one works");
      const target = { kind: "new", storage: disk.storage.name, name: "again" } as const;
      await restoreOne(test, point, target, { call: { onProgress: note("restore") } });
      for (const [what, updates] of Object.entries(told)) {
        must(updates.length > 0, `a ${what} must report progress`);
        const fractions = updates.flatMap(({ fraction }) => fraction ?? []);
        must(
          fractions.every((fraction) => fraction >= 0 && fraction <= 1),
          `the fractions of a ${what} must be between 0 and 1: ${fractions}`,
        );
      }
    },
  },
  {
    id: "backup.cancel.before",
    title: "a call whose caller has given up already does nothing",
    clause:
      "OperationContext.signal aborts when the caller cancels; Long operations end soon after they are cancelled.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const signal = AbortSignal.abort(new VdcError("CANCELLED", "given up"));
      const before = await tracesOn(test, disk);
      await mustReject(backUp(test, "p", entriesOf(disk), { call: { signal } }), "CANCELLED", "a backup");
      mustEqual(await pointNames(test), [], "the points after a backup that was given up");
      mustEqual(await tracesOn(test, disk), before, "what is held of the disk");
      const point = await backUp(test, "p", entriesOf(disk));
      const target = { kind: "new", storage: disk.storage.name, name: "again" } as const;
      await mustReject(restoreOne(test, point, target, { call: { signal } }), "CANCELLED", "a restore");
      mustEqual(await volumesOf(test, disk.storage), ["disk"], "the volumes after a restore that was given up");
      await mustReject(test.provider.verify({}, test.operation({ signal })), "CANCELLED", "a verification");
    },
  },
  {
    id: "backup.cancel.create",
    title: "a backup that is cancelled leaves no point, and nothing at the storage provider; the next one works",
    clause: "Long operations end soon after they are cancelled; what they hold at storage providers is released.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const before = await tracesOn(test, disk);
      if (await cancelled((call) => backUp(test, "p", entriesOf(disk), { call }))) {
        const runs = async () => (await test.provider.status({}, test.operation())).runs;
        await mustEqualSoon(() => tracesOn(test, disk), before, "what is held of the disk");
        await mustEqualSoon(runs, [], "the runs after a cancelled backup");
        mustEqual(await pointNames(test), [], "the points after a cancelled backup");
      }
      await mustRestore(test, await patiently(() => backUp(test, "p", entriesOf(disk))), disk.content);
      mustEqual((await test.provider.verify({}, test.operation())).damages, [], "the damages");
    },
  },
  {
    id: "backup.cancel.restore",
    title: "a restore that is cancelled leaves no volume and no attachment; repeated, it ends",
    clause: "Long operations end soon after they are cancelled; what they hold at storage providers is released.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const { storage } = disk;
      const point = await backUp(test, "p", entriesOf(disk));
      const target = { kind: "new", storage: storage.name, name: "again" } as const;
      if (await cancelled((call) => restoreOne(test, point, target, { call }))) {
        await mustEqualSoon(() => volumesOf(test, storage), ["disk"], "the volumes after a cancelled restore");
      }
      const restored = await patiently(() => restoreOne(test, point, target));
      mustBe(await readRestored(test, restored), disk.content, "what was restored at last");
      const own = await makeDisk(test, "own", { bytes: longBytes });
      await detach(test, own);
      const into = { kind: "volume", storage: storage.name, volumeId: own.volumeId, generation: 2 } as const;
      await cancelled((call) => restoreOne(test, point, into, { call }));
      const owner = async () => (await tracesOn(test, own)).generation;
      await mustEqualSoon(owner, undefined, "the generation in which the volume is attached after a cancelled restore");
    },
  },
  {
    id: "backup.resume.create",
    title: "a backup that was killed in the middle is gone on with by the same call, and is of one moment",
    clause:
      "After `kill -9` at any instant, a repeated call finishes what was begun; CreateRecoveryPoint.name: goes on with a run that was interrupted",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const disks = entriesOf(disk);
      const provider = await killed(test, (onProgress) => backUp(test, "p", disks, { call: { onProgress } }));
      const names = await pointNames(test, provider);
      const { runs } = await provider.status({}, test.operation());
      if (names.length === 0) {
        const found = runs.map(({ name, subject, state, diskIds }) => [name, subject, state, diskIds]);
        mustEqual(found, [["p", "vm", "interrupted", ["disk0"]]], "the runs after a kill");
      }
      // Its owner goes on meanwhile. What it writes now is in the point wholly or not at all.
      const later = contentOf("later", longBytes);
      const changed = await rewrite(disk, later);
      const point = await backUp(test, "p", disks, { provider });
      mustEqual(await pointNames(test, provider), ["p"], "the points after the call was repeated");
      const target = { kind: "new", storage: disk.storage.name, name: "again" } as const;
      const found = await readRestored(test, await restoreOne(test, point, target, { provider }));
      if (Buffer.compare(found, later) !== 0) mustBe(found, disk.content, "the disk as it was before the kill");
      mustEqual((await provider.verify({}, test.operation())).damages, [], "the damages");
      await provider.sweep({}, test.operation());
      await mustBeIdle(test, provider, [disk]);
      const next = await backUp(test, "q", disks, { provider });
      await mustRestore(test, next, changed.content, { provider });
    },
  },
  {
    id: "backup.resume.other",
    title: "a run that was killed and is not repeated is in nobody's way",
    clause: "After `kill -9` at any instant ... A point is there wholly or not at all, and does not change.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const kept = await backUp(test, "before", entriesOf(disk));
      const changed = await rewrite(disk, contentOf("later", longBytes));
      const provider = await killed(test, (onProgress) => backUp(test, "p", entriesOf(disk), { call: { onProgress } }));
      const names = await pointNames(test, provider);
      await mustRestore(test, kept, disk.content, { provider });
      const next = await backUp(test, "other", entriesOf(disk), { provider });
      mustEqual(await pointNames(test, provider), [...names, "other"], "the points after another backup");
      await mustRestore(test, next, changed.content, { provider });
      await provider.sweep({}, test.operation());
      await provider.prune({ keep: { last: 1 } }, test.operation());
      await mustBeIdle(test, provider, [disk]);
      await mustRestore(test, next, changed.content, { provider });
    },
  },
  {
    id: "backup.resume.restore",
    title: "a restore that was killed in the middle is finished by the same call: a new volume, and one that was there",
    clause: "restore: A repeated call finishes one that was interrupted.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const { storage } = disk;
      const point = await backUp(test, "p", entriesOf(disk));
      const target = { kind: "new", storage: storage.name, name: "again" } as const;
      let provider = await killed(test, (onProgress) => restoreOne(test, point, target, { call: { onProgress } }));
      const restored = await restoreOne(test, point, target, { provider });
      mustBe(await readRestored(test, restored), disk.content, "the new volume");
      const own = await makeDisk(test, "own", { bytes: longBytes });
      await detach(test, own);
      const into = { kind: "volume", storage: storage.name, volumeId: own.volumeId, generation: 2 } as const;
      provider = await killed(test, (onProgress) => restoreOne(test, point, into, { provider, call: { onProgress } }));
      const second = await restoreOne(test, point, into, { provider });
      mustEqual(second.generation, 2, "the generation that the caller named");
      mustBe(await readRestored(test, second), disk.content, "the volume that was there");
      mustEqual((await volumesOf(test, storage)).toSorted(), ["again", "disk", "own"], "the volumes");
    },
  },
  {
    id: "backup.sweep.run",
    title: "a sweep removes the snapshots and checkpoints of a run that was killed",
    clause: "`sweep` removes what nobody repeats: snapshots, checkpoints",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const before = await tracesOn(test, disk);
      const provider = await killed(test, (onProgress) => backUp(test, "p", entriesOf(disk), { call: { onProgress } }));
      const isDone = (await pointNames(test, provider)).length > 0;
      const { length: interrupted } = (await provider.status({}, test.operation())).runs;
      const swept = await provider.sweep({}, test.operation());
      mustEqual(swept, { runs: interrupted, volumes: 0 }, "what was swept");
      await mustBeIdle(test, provider, [disk]);
      if (!isDone) mustEqual(await tracesOn(test, disk), before, "what is held of the disk after a sweep");
      mustEqual(await provider.sweep({}, test.operation()), { runs: 0, volumes: 0 }, "what a second sweep finds");
    },
  },
  {
    id: "backup.sweep.restore",
    title: "a sweep removes a volume that was half restored when its process was killed, and none else",
    clause: "`sweep` removes what nobody repeats: half-restored volumes",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk", { bytes: longBytes });
      const { storage } = disk;
      const point = await backUp(test, "p", entriesOf(disk));
      const kept = await restoreOne(test, point, { kind: "new", storage: storage.name, name: "kept" });
      const target = { kind: "new", storage: storage.name, name: "again" } as const;
      const provider = await killed(test, (onProgress) => restoreOne(test, point, target, { call: { onProgress } }));
      const { volumes } = await provider.sweep({}, test.operation());
      // A restore that had ended by then is no half one.
      const left = volumes === 0 ? ["again", "disk", "kept"] : ["disk", "kept"];
      mustEqual((await volumesOf(test, storage)).toSorted(), left, "the volumes after a sweep");
      mustBe(await readRestored(test, kept), disk.content, "a volume whose restore had ended");
      mustEqual(await provider.sweep({}, test.operation()), { runs: 0, volumes: 0 }, "what a second sweep finds");
      const restored = await restoreOne(test, point, target, { provider });
      mustBe(await readRestored(test, restored), disk.content, "the volume when it is restored after all");
    },
  },
  {
    id: "backup.durable.restart",
    title: "what was acknowledged is there after a kill: points, deletes, prunes",
    clause: "A point is there wholly or not at all, and does not change. Whatever was acknowledged survives `kill -9`.",
    level: "core",
    async run(test) {
      const disk = await makeDisk(test, "disk");
      const labels = { purpose: "kept" };
      const [old, gone] = [await backUp(test, "old", entriesOf(disk)), await backUp(test, "gone", entriesOf(disk))];
      const kept = await backUp(test, "kept", entriesOf(disk), { labels });
      await test.provider.deleteRecoveryPoint({ recoveryPointId: gone.recoveryPointId }, test.operation());
      const pruned = await test.provider.prune({ keep: { last: 1 } }, test.operation());
      mustEqual(pruned.removed, [old.recoveryPointId], "what was pruned");
      const provider = await test.wrap(await test.instance.reopen());
      const { items } = await provider.listRecoveryPoints({}, test.operation());
      mustEqual(items, [kept], "the points after a restart");
      await mustRestore(test, kept, disk.content, { provider });
      mustEqual(await backUp(test, "kept", entriesOf(disk), { provider }), kept, "what a repeated backup returns");
    },
  },
];
