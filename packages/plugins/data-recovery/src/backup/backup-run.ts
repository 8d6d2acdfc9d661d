import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { CreateRecoveryPoint, RecoveryPoint, RecoveryPointDisk } from "@vdc-os/core/backup/v1";
import { keyOf, type PointManifest } from "../repository/point-manifest.ts";
import type { Repository } from "../repository/repository.ts";
import type { OpenDevice } from "../source/block-device.ts";
import type { CopyCounters } from "./copy-disk.ts";
import { readDisk, type ReadDisk } from "./read-disk.ts";
import { releaseContext, releaseRun } from "./release-run.ts";
import { type DiskPlan, type RunRecord, RunStore, sameDisks } from "./run-record.ts";
import type { StorageAccess } from "./storage-access.ts";
import { takeMoment } from "./take-moment.ts";

/** What runs are made with. */
export interface BackupEnvironment {
  readonly repository: Repository;
  readonly storage: StorageAccess;
  readonly openDevice: OpenDevice;
  /** The host on which this process reads and writes disks. */
  readonly host: string;
  readonly flushBytes: number;
}

/** A run that works now. */
export interface ActiveRun {
  readonly record: RunRecord;
  readonly counters: CopyCounters;
}

/** Makes recovery points: one run at a time for each subject. */
export class BackupRuns {
  readonly active: Map<string, ActiveRun> = new Map();
  readonly store: RunStore;
  readonly #environment: BackupEnvironment;
  readonly #claimed = new Set<string>();

  constructor(environment: BackupEnvironment) {
    this.#environment = environment;
    this.store = new RunStore(environment.repository.folder);
  }

  async create(input: CreateRecoveryPoint, context: OperationContext): Promise<RecoveryPoint> {
    assertDistinct(input);
    const present = this.#present(input);
    if (present !== undefined) return present;
    return this.#alone(input.subject, async () => this.#present(input) ?? (await this.#create(input, context)));
  }

  /** Removes what runs that do not work now have left, of one subject or all. Returns how many there were. One that fails does not keep the others from it. */
  async releaseInterrupted(context: OperationContext, subject?: string): Promise<number> {
    let count = 0;
    const failures: unknown[] = [];
    for (const run of await this.store.list()) {
      if ((subject ?? run.input.subject) !== run.input.subject || this.#claimed.has(run.input.subject)) continue;
      try {
        await this.#alone(run.input.subject, () => this.#release(run, context));
        count++;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return count;
  }

  #present(input: CreateRecoveryPoint): RecoveryPoint | undefined {
    const found = this.#environment.repository.points.find(input.subject, input.name)?.point;
    if (found === undefined || sameDisks(found.disks, input.disks)) return found;
    throw new VdcError("ALREADY_EXISTS", `'${input.subject}' has a recovery point '${input.name}' of other disks`);
  }

  async #create(input: CreateRecoveryPoint, context: OperationContext): Promise<RecoveryPoint> {
    let run = await this.#begin(input, context);
    const counters: CopyCounters = { readBytes: 0, newBytes: 0, storedBytes: 0 };
    this.active.set(input.subject, { record: run, counters });
    const { users } = this.#environment.repository;
    try {
      // A prune meanwhile could take what the run builds on.
      const manifest = await users.shared(async () => {
        if (run.taken === undefined) {
          run = { ...run, taken: await takeMoment({ ...this.#environment, run }, context) };
          await this.store.save(run);
        }
        return this.#readAll(run, counters, context);
      }, context.signal);
      await this.#releaseQuietly(run, context);
      return manifest.point;
    } catch (error) {
      await this.#releaseQuietly(run, context);
      throw error;
    } finally {
      this.active.delete(input.subject);
    }
  }

  /** The record of the run: that of one which was killed, where it is the same, or a new one. */
  async #begin(input: CreateRecoveryPoint, context: OperationContext): Promise<RunRecord> {
    for (const run of await this.store.list()) {
      if (run.input.subject !== input.subject) continue;
      const same = run.input.name === input.name && sameDisks(run.input.disks, input.disks);
      if (same && (await this.#canGoOn(run, context))) return run;
      await this.#release(run, context);
    }
    const attempt = context.random.uuid().replaceAll("-", "").slice(0, 16);
    const run: RunRecord = { input, attempt, startedAt: context.clock.now() };
    await this.store.save(run);
    return run;
  }

  /** Whether what was read of a run's disks is still of their moment: of a volume that was attached for it, only if nobody had it since. */
  async #canGoOn(run: RunRecord, context: OperationContext): Promise<boolean> {
    const { storage, host } = this.#environment;
    for (const [i, plan] of (run.taken?.disks ?? []).entries()) {
      const disk = run.input.disks[i];
      if (plan.snapshotId !== undefined || disk === undefined) continue;
      if ((await this.store.progress(run, i)) === undefined) continue;
      const { attachment } = await storage.get(disk.storage).getAttachment({ volumeId: disk.volumeId }, context);
      if (attachment?.generation !== disk.generation || attachment?.host !== host) return false;
    }
    return true;
  }

  async #readAll(run: RunRecord, counters: CopyCounters, context: OperationContext): Promise<PointManifest> {
    const { input, taken } = run;
    if (taken === undefined) throw new VdcError("INTERNAL", "the moment has not been taken");
    const disks: RecoveryPointDisk[] = [];
    const contents: PointManifest["contents"][number][] = [];
    for (const [i, { diskId, storage, volumeId }] of input.disks.entries()) {
      const { plan, read, own } = await this.#readOne(run, i, counters, context);
      const because = plan.because === undefined ? {} : { because: plan.because };
      const { capacityBytes, reading, checkpoint } = plan;
      const { dataBytes } = read;
      disks.push({ diskId, storage, volumeId, capacityBytes, dataBytes, reading, ...because, ...own });
      contents.push({ root: read.root.toString("hex"), ...(checkpoint === undefined ? {} : { checkpoint }) });
    }
    const { name, subject, labels = {} } = input;
    const recoveryPointId = `${keyOf(subject, name)}-${run.attempt}`;
    const { createdAt, consistency } = taken;
    const point = { recoveryPointId, name, subject, createdAt, consistency, disks, labels };
    const manifest = { point, contents };
    await this.#environment.repository.points.add(manifest);
    return manifest;
  }

  async #readOne(
    run: RunRecord,
    index: number,
    total: CopyCounters,
    context: OperationContext,
  ): Promise<{ readonly plan: DiskPlan; readonly read: ReadDisk; readonly own: CopyCounters }> {
    const disk = run.input.disks[index] as RunRecord["input"]["disks"][number];
    let plan = run.taken?.disks[index] as DiskPlan;
    let progress = await this.store.progress(run, index);
    for (;;) {
      const own: CopyCounters = { ...(progress?.counters ?? { readBytes: 0, newBytes: 0, storedBytes: 0 }) };
      const before = { ...total };
      const onProgress = (): void => {
        total.readBytes = before.readBytes + own.readBytes;
        total.newBytes = before.newBytes + own.newBytes;
        total.storedBytes = before.storedBytes + own.storedBytes;
        context.progress(progressOf(run, index, own, total));
      };
      // A plan that turned out not to work is not on record: a run that is killed then finds out again.
      const save = plan === run.taken?.disks[index] ? this.store.saveProgress.bind(this.store, run, index) : noSave;
      const { repository, storage, openDevice, host, flushBytes } = this.#environment;
      const environment = { repository, storage, openDevice, host, flushBytes };
      try {
        const options = { ...environment, disk, plan, progress, counters: own, save, onProgress };
        const read = await readDisk(options, context);
        onProgress();
        return { plan, read, own };
      } catch (error) {
        if (!isVdcError(error) || error.reason !== "VDC_CHANGES_UNKNOWN") throw error;
        const { base: _base, checkpoint, ...rest } = plan;
        // What is tracked from now on is of use for the next run; it is no help for this one.
        const forNext = plan.base === undefined || checkpoint === undefined ? {} : { checkpoint };
        plan = { ...rest, ...forNext, reading: "full", because: error.message };
        progress = undefined;
      }
    }
  }

  async #releaseQuietly(run: RunRecord, context: OperationContext): Promise<void> {
    try {
      await this.#release(run, releaseContext(context));
    } catch (error) {
      // The record stays: the next run of the subject, or a sweep, does the rest.
      context.logger.warn("what a backup holds at a storage provider could not be released", {
        subject: run.input.subject,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }

  async #release(run: RunRecord, context: OperationContext): Promise<void> {
    const { repository, storage, host } = this.#environment;
    const known = new Set((await this.store.list()).map(({ attempt }) => attempt));
    await releaseRun({ repository, storage, host, run, known }, context);
    await this.store.remove(run);
  }

  async #alone<T>(subject: string, run: () => Promise<T>): Promise<T> {
    if (this.#claimed.has(subject)) {
      throw new VdcError("ABORTED", `a backup of '${subject}' is running: try again`, { reason: "VDC_BACKUP_RUNNING" });
    }
    this.#claimed.add(subject);
    try {
      return await run();
    } finally {
      this.#claimed.delete(subject);
    }
  }
}

async function noSave(): Promise<void> {}

function assertDistinct({ disks }: CreateRecoveryPoint): void {
  const ids = new Set(disks.map(({ diskId }) => diskId));
  const volumes = new Set(disks.map(({ storage, volumeId }) => `${storage}\0${volumeId}`));
  if (ids.size === disks.length && volumes.size === disks.length) return;
  throw new VdcError("INVALID_ARGUMENT", "two disks have the same id, or are the same volume");
}

function progressOf(run: RunRecord, index: number, own: CopyCounters, total: CopyCounters) {
  const { disks } = run.input;
  const plan = run.taken?.disks[index];
  const share = plan === undefined || plan.capacityBytes === 0 ? 1 : Math.min(1, own.readBytes / plan.capacityBytes);
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const { readBytes, newBytes, storedBytes } = total;
  return {
    fraction: (index + share) / disks.length,
    message: `disk '${disks[index]?.diskId}': ${mib(readBytes)} MiB read, ${mib(newBytes)} MiB new, ${mib(storedBytes)} MiB stored`,
  };
}
