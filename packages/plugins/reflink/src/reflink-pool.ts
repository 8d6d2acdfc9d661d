import { randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isVdcError, type Logger, type OperationContext, toVdcError, VdcError } from "@vdc-os/core";
import { type ProcessLock, takeProcessLock } from "@vdc-os/core/remote";
import type { CapacityAlarm, PoolCapacity, Volume } from "@vdc-os/core/storage/v1";
import type { ReflinkConfig } from "./config.ts";
import { DiskFolder, shareBlocks } from "./disk-folder.ts";
import { type SnapshotRecord, snapshotRecord, type VolumeRecord, volumeRecord } from "./records.ts";

/** Whether the pool's file system lets files share blocks, and how that is known. */
export type SharingProbe = { readonly shares: true } | { readonly shares: false; readonly reason: string };

/** A folder with volumes and snapshots, open in one process. */
export class ReflinkPool {
  readonly name: string;
  readonly volumes: DiskFolder<VolumeRecord>;
  readonly snapshots: DiskFolder<SnapshotRecord>;
  readonly sharing: SharingProbe;
  readonly accessibleHosts: readonly string[] | undefined;
  readonly #config: ReflinkConfig;
  readonly #lock: ProcessLock;
  readonly #busy = new Map<string, string>();

  private constructor(
    config: ReflinkConfig,
    parts: Pick<ReflinkPool, "volumes" | "snapshots" | "sharing">,
    lock: ProcessLock,
  ) {
    this.name = config.name;
    this.accessibleHosts = config.accessibleHosts;
    this.volumes = parts.volumes;
    this.snapshots = parts.snapshots;
    this.sharing = parts.sharing;
    this.#config = config;
    this.#lock = lock;
  }

  /** Opens a pool, and makes it where there is none. Throws `ALREADY_EXISTS` while another process has it open. */
  static async open(config: ReflinkConfig, logger: Logger): Promise<ReflinkPool> {
    await mkdir(config.directory, { recursive: true, mode: 0o700 });
    const directory = realpathSync(config.directory);
    const lock = await takeProcessLock(`reflink pool ${directory}`);
    try {
      const [volumes, snapshots, sharing] = [
        await DiskFolder.open(join(directory, "volumes"), { schema: volumeRecord, writable: true, logger }),
        await DiskFolder.open(join(directory, "snapshots"), { schema: snapshotRecord, writable: false, logger }),
        await probeSharing(directory),
      ];
      return new ReflinkPool({ ...config, directory }, { volumes, snapshots, sharing }, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#lock.release();
  }

  volume(volumeId: string): VolumeRecord {
    const record = this.volumes.get(volumeId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
    return record;
  }

  snapshot(snapshotId: string): SnapshotRecord {
    const record = this.snapshots.get(snapshotId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no snapshot '${snapshotId}'`);
    return record;
  }

  snapshotsOf(volumeId: string): readonly SnapshotRecord[] {
    return this.snapshots.all().filter((record) => record.volumeId === volumeId);
  }

  view(record: VolumeRecord): Volume {
    const allocatedBytes = this.volumes.allocatedBytes(record.volumeId);
    // The pool may reach fewer hosts than when the volume was made.
    const accessibleHosts =
      record.accessibleHosts?.filter((host) => this.accessibleHosts?.includes(host) !== false) ?? this.accessibleHosts;
    return {
      volumeId: record.volumeId,
      name: record.name,
      capacityBytes: record.capacityBytes,
      allocatedBytes,
      // The file system does not tell who shares what: what was allocated since the last sharing is surely its own.
      exclusiveBytes: Math.max(0, allocatedBytes - record.sharedBytes),
      createdAt: record.createdAt,
      ...(record.owner === undefined ? {} : { owner: record.owner }),
      ...(record.source === undefined ? {} : { parent: record.source }),
      ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
      parameters: {},
    };
  }

  /**
   * Makes a volume, or returns the one of this name when it was asked for alike. `fill` makes its file. Throws `ALREADY_EXISTS`, `RESOURCE_EXHAUSTED`, and
   * `ABORTED` while another call makes one of this name.
   */
  async makeVolume(
    record: Omit<VolumeRecord, "volumeId" | "createdAt" | "highWater">,
    fill: (path: string) => Promise<void>,
    context: OperationContext,
  ): Promise<VolumeRecord> {
    const { name, request, capacityBytes } = record;
    return this.alone(`name of volume '${name}'`, "create", async () => {
      const present = this.volumes.all().find((volume) => volume.name === name);
      if (present !== undefined) {
        if (present.request === request) return present;
        throw new VdcError("ALREADY_EXISTS", `there is a volume '${name}' that was asked for otherwise`);
      }
      if (capacityBytes < 1) throw new VdcError("OUT_OF_RANGE", "a volume has at least one byte");
      await this.#assertCanPromise(capacityBytes);
      const made = { ...record, volumeId: context.random.uuid(), createdAt: context.clock.now(), highWater: 0 };
      await this.#failing(`volume '${name}'`, () => this.volumes.make(made.volumeId, made, fill));
      return made;
    });
  }

  /** Makes a snapshot of a volume, as it is at one moment. */
  async makeSnapshot(
    input: Pick<SnapshotRecord, "name" | "volumeId" | "owner">,
    context: OperationContext,
  ): Promise<SnapshotRecord> {
    const { name, volumeId, owner } = input;
    return this.alone(`name of snapshot '${name}'`, "create", async () => {
      const present = this.snapshots.all().find((snapshot) => snapshot.name === name);
      if (present !== undefined) {
        if (present.volumeId === volumeId && JSON.stringify(present.owner) === JSON.stringify(owner)) return present;
        throw new VdcError("ALREADY_EXISTS", `there is a snapshot '${name}' of another volume or owner`);
      }
      return this.alone(volumeId, "snapshot", async () => {
        const { capacityBytes } = this.volume(volumeId);
        const made: SnapshotRecord = {
          snapshotId: context.random.uuid(),
          name,
          volumeId,
          capacityBytes,
          createdAt: context.clock.now(),
          owner,
          readers: [],
        };
        const disk = this.volumes.disk(volumeId);
        await this.#failing(`snapshot '${name}'`, async () => {
          await this.noteShared(volumeId);
          await this.snapshots.make(made.snapshotId, made, (path) => shareBlocks(disk, path));
        });
        return made;
      });
    });
  }

  /** From now on what a volume has allocated may be shared. */
  async noteShared(volumeId: string): Promise<void> {
    const record = this.volume(volumeId);
    await this.volumes.update(volumeId, { ...record, sharedBytes: this.volumes.allocatedBytes(volumeId) });
  }

  /** Grows or shrinks a volume's file, and then says so. */
  async resizeVolume(record: VolumeRecord, resize: () => Promise<void>, capacityBytes: number): Promise<VolumeRecord> {
    await this.#assertCanPromise(capacityBytes - record.capacityBytes);
    const resized = { ...record, capacityBytes };
    await this.#failing(`volume '${record.name}'`, async () => {
      // The record tells what a killed process would have the file be; it is never larger than the file.
      if (capacityBytes < record.capacityBytes) await this.volumes.update(record.volumeId, resized);
      await resize();
      await this.volumes.update(record.volumeId, resized);
    });
    return resized;
  }

  async capacity(): Promise<PoolCapacity> {
    const { capacityBytes, maxOverSubscription = 4, reservedBytes = 0, alarmThresholds = [0.75, 0.9] } = this.#config;
    const { bsize, blocks, bavail } = await statfs(this.#config.directory);
    const totalBytes = Math.min(capacityBytes ?? Number.MAX_SAFE_INTEGER, bsize * blocks);
    const volumes = this.volumes.all();
    const allocatedBytes =
      sum(volumes.map(({ volumeId }) => this.volumes.allocatedBytes(volumeId))) +
      sum(this.snapshots.all().map(({ snapshotId }) => this.snapshots.allocatedBytes(snapshotId)));
    const provisionedBytes = sum(volumes.map((volume) => volume.capacityBytes));
    const usable = Math.max(1, totalBytes - reservedBytes);
    const freeBytes = Math.max(0, Math.min(bsize * bavail, usable - Math.min(allocatedBytes, usable)));
    const alarms: CapacityAlarm[] = [];
    const alarm = (kind: CapacityAlarm["kind"], threshold: number, value: number, what: string): void => {
      if (value < threshold) return;
      alarms.push({
        kind,
        threshold,
        value,
        message: `${what}: ${value.toFixed(2)} of ${usable} bytes, past ${threshold}`,
      });
    };
    const used = (usable - freeBytes) / usable;
    for (const threshold of alarmThresholds) {
      alarm("allocated", threshold, used, "in use");
      alarm("provisioned", threshold * maxOverSubscription, provisionedBytes / usable, "promised to volumes");
    }
    if (freeBytes < fullBytes) alarm("outOfSpace", 0, used, "writes that need space fail");
    return { totalBytes, freeBytes, allocatedBytes, provisionedBytes, reservedBytes, maxOverSubscription, alarms };
  }

  /** Runs a change of something alone. Throws `ABORTED` while another one runs: the caller tries again. */
  async alone<T>(key: string, what: string, run: () => Promise<T>): Promise<T> {
    const running = this.#busy.get(key);
    if (running !== undefined) {
      throw new VdcError("ABORTED", `'${key}' is busy with ${running}: try ${what} again`, {
        reason: "VDC_VOLUME_BUSY",
        blockers: [{ kind: "operation", name: running }],
      });
    }
    this.#busy.set(key, what);
    try {
      return await run();
    } finally {
      this.#busy.delete(key);
    }
  }

  async #assertCanPromise(additionalBytes: number): Promise<void> {
    const { totalBytes, reservedBytes, provisionedBytes, freeBytes, maxOverSubscription } = await this.capacity();
    const limitBytes = Math.floor(Math.max(0, totalBytes - reservedBytes) * maxOverSubscription);
    if (additionalBytes > 0 && provisionedBytes + additionalBytes > limitBytes) {
      throw new VdcError(
        "RESOURCE_EXHAUSTED",
        `${additionalBytes} bytes more than the ${provisionedBytes} that are promised pass the pool's limit of ${limitBytes}`,
        { reason: "VDC_OVER_SUBSCRIPTION", details: { additionalBytes, provisionedBytes, limitBytes } },
      );
    }
    if (freeBytes < fullBytes) {
      throw new VdcError("RESOURCE_EXHAUSTED", `the pool is full: ${freeBytes} bytes are left`, {
        reason: "VDC_OUT_OF_SPACE",
      });
    }
  }

  async #failing<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (isVdcError(error)) throw error;
      const { code } = error as { readonly code?: string };
      if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") {
        throw new VdcError("RESOURCE_EXHAUSTED", `${what}: no space is left`, {
          reason: "VDC_OUT_OF_SPACE",
          cause: error,
        });
      }
      throw toVdcError(error);
    }
  }
}

/** Below this a pool counts as full. */
const fullBytes = 1024 * 1024;

/** Tries it: nothing else tells for sure. */
async function probeSharing(directory: string): Promise<SharingProbe> {
  const from = join(directory, `.probe-${randomBytes(6).toString("hex")}`);
  const to = `${from}-shared`;
  try {
    await writeFile(from, Buffer.alloc(65_536, 1), { mode: 0o600 });
    await shareBlocks(from, to);
    return { shares: true };
  } catch (error) {
    const { code = String(error) } = error as { readonly code?: string };
    return {
      shares: false,
      reason: `the file system of '${directory}' can't share blocks between files (FICLONE: ${code}); XFS and btrfs can`,
    };
  } finally {
    await Promise.all([rm(from, { force: true }), rm(to, { force: true })]);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
