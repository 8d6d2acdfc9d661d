import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { VdcError } from "@vdc-os/core";
import type { DiskMigration } from "@vdc-os/core/compute/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import type { QmpClient } from "@vdc-os/qmp";
import { blockNode, deviceId } from "./command-line.ts";
import {
  addNode,
  cancelMirror,
  type MirrorJob,
  monitorCall,
  mirrorJob,
  removeUnusedNodes,
  resumeGuest,
  rootNode,
  startMirror,
} from "./mirror-job.ts";
import type { DiskMigrationRecord, VmRecord } from "./vm-record.ts";

/** What a migration has of its VM, while nothing else changes the VM. */
export interface MigratingVm {
  readonly vmId: string;
  readonly record: VmRecord;
  /** Throws `FAILED_PRECONDITION` when the VM does not run, `UNAVAILABLE` when its monitor does not answer. */
  monitor(): QmpClient;
  save(record: VmRecord): Promise<void>;
}

/** How long QEMU may take for one step of a switch or a cancel, in milliseconds. */
const stepMs = 15_000;
const pollMs = 15;

/**
 * The migrations of a VM's disks, by QEMU's mirror job in its mode `write-blocking`: the guest is told of a write when both sides have it, so the
 * copying ends however much the guest writes.
 *
 * The switch is decided in the VM's record. The job is not let finalize itself: when it is asked to complete, QEMU holds the guest's requests with both
 * sides equal (status `pending`); then the record is written, and only then QEMU switches. So what the record says is right whoever dies when.
 */
export class DiskMigrations {
  readonly #vm: MigratingVm;

  constructor(vm: MigratingVm) {
    this.#vm = vm;
  }

  async start(diskId: string, migrationId: string, target: VolumeTransport): Promise<DiskMigration> {
    const { vmId, record } = this.#vm;
    if (!record.spec.disks.some(({ id }) => id === diskId)) {
      throw new VdcError("NOT_FOUND", `VM '${vmId}' has no disk '${diskId}'`);
    }
    const last = await this.#settle(diskId);
    if (last?.migrationId === migrationId) {
      if (JSON.stringify(last.target) !== JSON.stringify(target)) {
        throw new VdcError("ALREADY_EXISTS", `migration '${migrationId}' of disk '${diskId}' has another target`);
      }
      if (last.state !== "running") return shown(last);
    } else if (last?.state === "running") {
      throw new VdcError("FAILED_PRECONDITION", `disk '${diskId}' of VM '${vmId}' is being moved already`, {
        reason: "VDC_DISK_MIGRATING",
        blockers: [{ kind: "diskMigration", name: last.migrationId }],
      });
    }
    // Refuses what can't be done before anything is recorded.
    const node = { ...blockNode({ id: diskId, transport: target, readOnly: false }), "node-name": nodeOf(migrationId) };
    const monitor = this.#vm.monitor();
    const before = record.diskMigrations ?? [];
    if (last?.migrationId !== migrationId) {
      await this.#put({ diskId, migrationId, target, state: "running", totalBytes: 0, message: "" });
    }
    try {
      await addNode(monitor, node);
      if ((await mirrorJob(monitor, jobOf(migrationId))) === undefined) {
        await startMirror(monitor, jobOf(migrationId), deviceId("disk", diskId));
      }
    } catch (error) {
      await removeUnusedNodes(monitor).catch(() => undefined);
      await this.#vm.save({ ...this.#vm.record, diskMigrations: before });
      throw error;
    }
    return this.status(diskId, migrationId);
  }

  async status(diskId: string, migrationId: string): Promise<DiskMigration> {
    const entry = await this.#settle(diskId);
    if (entry?.migrationId !== migrationId) {
      throw new VdcError("NOT_FOUND", `disk '${diskId}' of VM '${this.#vm.vmId}' has no migration '${migrationId}'`);
    }
    if (entry.state !== "running") return shown(entry);
    return shown(entry, await mirrorJob(this.#vm.monitor(), jobOf(migrationId)));
  }

  async complete(diskId: string, migrationId: string): Promise<DiskMigration> {
    const now = await this.status(diskId, migrationId);
    if (now.state === "done") return now;
    if (now.state !== "ready") {
      const why = now.message === "" ? "" : `: ${now.message}`;
      throw new VdcError("FAILED_PRECONDITION", `migration '${migrationId}' is ${now.state}${why}`, {
        reason: "VDC_MIGRATION_NOT_READY",
      });
    }
    const monitor = this.#vm.monitor();
    await monitorCall(monitor, "job-complete", { id: jobOf(migrationId) });
    await this.#await(monitor, migrationId, ({ status }) => status === "pending" || status === "concluded");
    return this.status(diskId, migrationId);
  }

  async cancel(diskId: string, migrationId: string): Promise<void> {
    const entry = this.#entry(diskId);
    if (entry?.migrationId !== migrationId || hasFailed(entry)) return;
    if (entry.state === "done") {
      throw new VdcError("FAILED_PRECONDITION", `migration '${migrationId}' is done: disk '${diskId}' is its target`, {
        reason: "VDC_MIGRATION_DONE",
      });
    }
    await this.#abort(entry, "");
  }

  /** Ends what an earlier runtime of the host has left in the middle of a switch. */
  async settleAll(): Promise<void> {
    for (const { diskId } of this.#vm.record.diskMigrations ?? []) await this.#settle(diskId);
  }

  #entry(diskId: string): DiskMigrationRecord | undefined {
    return this.#vm.record.diskMigrations?.find((entry) => entry.diskId === diskId);
  }

  async #put(entry: DiskMigrationRecord, spec = this.#vm.record.spec): Promise<DiskMigrationRecord> {
    const { record } = this.#vm;
    const others = (record.diskMigrations ?? []).filter(({ diskId }) => diskId !== entry.diskId);
    await this.#vm.save({ ...record, spec, diskMigrations: [...others, entry] });
    return entry;
  }

  /** Takes a step that the job waits for, so that afterwards the entry says what is. Nothing else is under way meanwhile. */
  async #settle(diskId: string): Promise<DiskMigrationRecord | undefined> {
    const entry = this.#entry(diskId);
    if (entry === undefined || hasFailed(entry) || this.#vm.record.run === undefined) return entry;
    if (entry.state === "cancelling") return this.#abort(entry, entry.message);
    const { migrationId } = entry;
    const monitor = this.#vm.monitor();
    const job = await mirrorJob(monitor, jobOf(migrationId));
    if (job === undefined) return entry;
    if (entry.state === "running") {
      if (job.status === "concluded" || job.status === "aborting") return this.#abort(entry, job.error ?? "it ended");
      if (job.status === "waiting") {
        await this.#await(monitor, migrationId, ({ status }) => status !== "waiting");
        return this.#settle(diskId);
      }
      if (job.error !== undefined) return this.#abort(entry, job.error);
      if (job.status !== "pending") return entry;
      // Both sides are equal, and the guest is held: from the next line on, the target is the disk.
      await this.#switch(entry, job);
    }
    if ((await mirrorJob(monitor, jobOf(migrationId)))?.status === "pending") {
      await monitorCall(monitor, "job-finalize", { id: jobOf(migrationId) });
    }
    const error = await this.#conclude(monitor, migrationId);
    if ((await rootNode(monitor, deviceId("disk", diskId))) !== nodeOf(migrationId)) {
      return this.#abort(this.#entry(diskId) ?? entry, error === "" ? "QEMU did not switch" : error);
    }
    await removeUnusedNodes(monitor);
    return this.#entry(diskId);
  }

  async #switch(entry: DiskMigrationRecord, job: MirrorJob): Promise<void> {
    const { spec } = this.#vm.record;
    const source = spec.disks.find(({ id }) => id === entry.diskId)?.transport;
    const disks = spec.disks.map((disk) => (disk.id === entry.diskId ? { ...disk, transport: entry.target } : disk));
    const done = { ...entry, state: "done", totalBytes: job.totalBytes } as const;
    await this.#put(source === undefined ? done : { ...done, source }, { ...spec, disks });
  }

  /** The source is the disk, and stays so: `failed` with a message, `cancelled` without. */
  async #abort({ source, ...entry }: DiskMigrationRecord, message: string): Promise<DiskMigrationRecord> {
    const { migrationId, diskId } = entry;
    const { spec } = this.#vm.record;
    const disks = spec.disks.map((disk) =>
      disk.id === diskId && source !== undefined ? { ...disk, transport: source } : disk,
    );
    await this.#put({ ...entry, state: "cancelling", message }, { ...spec, disks });
    const monitor = this.#vm.monitor();
    const job = await mirrorJob(monitor, jobOf(migrationId));
    if (job !== undefined && job.status !== "concluded" && job.status !== "aborting") {
      await cancelMirror(monitor, jobOf(migrationId));
    }
    await this.#conclude(monitor, migrationId);
    await resumeGuest(monitor);
    await removeUnusedNodes(monitor);
    return this.#put(ended({ ...entry, state: "cancelling", message }));
  }

  /** Waits until the job has ended, and has QEMU forget it. Returns its error; empty when there is none. */
  async #conclude(monitor: QmpClient, migrationId: string): Promise<string> {
    const job = await this.#await(monitor, migrationId, ({ status }) => status === "concluded");
    if (job === undefined) return "";
    await monitorCall(monitor, "job-dismiss", { id: jobOf(migrationId) });
    return job.error ?? "";
  }

  async #await(
    monitor: QmpClient,
    migrationId: string,
    isSo: (job: MirrorJob) => boolean,
  ): Promise<MirrorJob | undefined> {
    const giveUp = performance.now() + stepMs;
    for (;;) {
      const job = await mirrorJob(monitor, jobOf(migrationId));
      if (job === undefined || isSo(job)) return job;
      if (performance.now() > giveUp) {
        throw new VdcError("UNAVAILABLE", `migration '${migrationId}' is still '${job.status}' after ${stepMs} ms`);
      }
      await sleep(pollMs);
    }
  }
}

/** The migrations of a VM whose QEMU has ended: those that were not decided have failed. */
export function migrationsAfterEnd(
  migrations: readonly DiskMigrationRecord[],
  detail: string,
): readonly DiskMigrationRecord[] {
  const message = `the VM ended: ${detail}`;
  return migrations.map((entry) => {
    if (entry.state === "running") return { ...entry, state: "failed", message };
    return entry.state === "cancelling" ? ended(entry) : entry;
  });
}

function hasFailed({ state }: DiskMigrationRecord): boolean {
  return state === "cancelled" || state === "failed";
}

function ended(entry: DiskMigrationRecord): DiskMigrationRecord {
  return { ...entry, state: entry.message === "" ? "cancelled" : "failed" };
}

function shown(entry: DiskMigrationRecord, job?: MirrorJob): DiskMigration {
  const { diskId, migrationId, target, message, totalBytes } = entry;
  const common = { diskId, migrationId, target, message };
  if (entry.state !== "running" && entry.state !== "cancelling") {
    return { ...common, state: entry.state, copiedBytes: entry.state === "done" ? totalBytes : 0, totalBytes };
  }
  const isReady = job?.status === "ready" || job?.status === "standby";
  return {
    ...common,
    state: isReady ? "ready" : "copying",
    copiedBytes: job?.copiedBytes ?? 0,
    totalBytes: job?.totalBytes ?? 0,
  };
}

/** QEMU's name of the node of a migration's target: at most 31 characters, whatever the migration's id is. */
function nodeOf(migrationId: string): string {
  return `move-${createHash("sha256").update(migrationId).digest("hex").slice(0, 24)}`;
}

const jobOf = nodeOf;
