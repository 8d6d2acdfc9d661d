import { isDeepStrictEqual } from "node:util";
import { type OperationContext, VdcError } from "@vdc-os/core";
import type { RecoveryPointDisk, Restore, RestoredDisk, RestoreTarget } from "@vdc-os/core/backup/v1";
import type { BackupEnvironment } from "../backup/backup-run.ts";
import { releaseContext } from "../backup/release-run.ts";
import type { DiskContent } from "../repository/point-manifest.ts";
import { type RestoreRecord, RestoreStore, targetKey } from "./restore-record.ts";
import { writeDisk } from "./write-disk.ts";

/** Restores disks. What is interrupted is finished by the same call, or taken back by `sweep`. */
export class Restores {
  readonly #environment: BackupEnvironment;
  readonly #store: RestoreStore;
  readonly #busy = new Set<string>();

  constructor(environment: BackupEnvironment) {
    this.#environment = environment;
    this.#store = new RestoreStore(environment.repository.folder);
  }

  async restore(input: Restore, context: OperationContext): Promise<readonly RestoredDisk[]> {
    const { repository } = this.#environment;
    const manifest = repository.points.findById(input.recoveryPointId);
    if (manifest === undefined) throw absentPoint(input.recoveryPointId);
    const wanted = input.disks.map(({ diskId, target }) => {
      const index = manifest.point.disks.findIndex((disk) => disk.diskId === diskId);
      const [disk, content] = [manifest.point.disks[index], manifest.contents[index]];
      if (disk !== undefined && content !== undefined) return { disk, content, target };
      throw new VdcError("NOT_FOUND", `recovery point '${input.recoveryPointId}' has no disk '${diskId}'`);
    });
    if (new Set(wanted.map(({ target }) => targetKey(target))).size < wanted.length) {
      throw new VdcError("INVALID_ARGUMENT", "two disks have the same target");
    }
    return repository.users.shared(async () => {
      const restored: RestoredDisk[] = [];
      for (const each of wanted) {
        restored.push(await this.#alone(each.target, () => this.#restoreOne(input.recoveryPointId, each, context)));
      }
      return restored;
    }, context.signal);
  }

  /** Takes back what was interrupted and is not repeated. Returns how many volumes that were. */
  async sweep(context: OperationContext): Promise<number> {
    let count = 0;
    for (const record of await this.#store.list()) {
      if (this.#busy.has(targetKey(record.target))) continue;
      await this.#alone(record.target, async () => {
        if (record.done === undefined) {
          await this.#takeBack(record, context);
          count++;
        } else if (!(await this.#isThere(record.done, context))) {
          await this.#store.remove(record);
        }
      });
    }
    return count;
  }

  async #restoreOne(
    recoveryPointId: string,
    wanted: { readonly disk: RecoveryPointDisk; readonly content: DiskContent; readonly target: RestoreTarget },
    context: OperationContext,
  ): Promise<RestoredDisk> {
    const { disk, target } = wanted;
    let record = await this.#store.find(target);
    if (record?.done !== undefined) {
      const same = isSame(record, { recoveryPointId, diskId: disk.diskId, target });
      if (same && (await this.#isThere(record.done, context))) return record.done;
      record = undefined;
    } else if (record !== undefined && !isSame(record, { recoveryPointId, diskId: disk.diskId, target })) {
      await this.#takeBack(record, context);
      record = undefined;
    }
    if (record === undefined) {
      await this.#assertFree(target, disk, context);
      const attempt = context.random.uuid();
      const generation = target.kind === "new" ? 0 : target.generation - 1;
      record = { recoveryPointId, diskId: disk.diskId, target, attempt, generation };
      await this.#store.save(record);
    }
    try {
      const done = await this.#write(record, wanted, context);
      await this.#store.save({ ...record, generation: done.generation, done });
      return done;
    } catch (error) {
      await this.#takeBackQuietly(target, context);
      throw error;
    }
  }

  async #write(
    record: RestoreRecord,
    {
      disk,
      content,
      target,
    }: { readonly disk: RecoveryPointDisk; readonly content: DiskContent; readonly target: RestoreTarget },
    context: OperationContext,
  ): Promise<RestoredDisk> {
    const { repository, storage, openDevice, host } = this.#environment;
    const provider = storage.get(target.storage);
    const { capacityBytes } = disk;
    let { volumeId } = target.kind === "volume" ? target : { volumeId: "" };
    if (target.kind === "new") {
      const { name, parameters } = target;
      const owner = this.#stamp(record, context.tenant);
      const create = { name, capacityBytes, owner, ...(parameters === undefined ? {} : { parameters }) };
      volumeId = (await storage.patiently(context, () => provider.createVolume(create, context))).volumeId;
    }
    // On record first, so that a repeated call takes a higher one, and a sweep knows what to detach. Who names a volume names its generation too.
    const generation = target.kind === "new" ? record.generation + 1 : target.generation;
    await this.#store.save({ ...record, generation });
    const { transport } = await storage.patiently(context, () =>
      provider.attachVolume({ volumeId, host, access: "readWrite", generation }, context),
    );
    const { signal } = context;
    const device = await openDevice(transport, { writable: true, signal });
    let writtenBytes: number;
    try {
      writtenBytes = await writeDisk({
        repository,
        root: content.root,
        capacityBytes,
        device,
        overwrite: target.kind === "volume",
        signal,
        onProgress: (written, offset) =>
          context.progress({
            fraction: offset / capacityBytes,
            message: `disk '${disk.diskId}': ${(written / 2 ** 20).toFixed(1)} MiB written`,
          }),
      });
    } finally {
      await device.close();
    }
    await storage.patiently(context, () => provider.detachVolume({ volumeId, host, generation }, context));
    return { diskId: disk.diskId, storage: target.storage, volumeId, capacityBytes, generation, writtenBytes };
  }

  async #assertFree(target: RestoreTarget, disk: RecoveryPointDisk, context: OperationContext): Promise<void> {
    const { storage } = this.#environment;
    if (target.kind === "new") {
      const there = await storage.findByName(target.storage, target.name, context);
      if (there === undefined) return;
      throw new VdcError("ALREADY_EXISTS", `storage '${target.storage}' has a volume '${target.name}' already`);
    }
    const volume = await storage.get(target.storage).getVolume({ volumeId: target.volumeId }, context);
    const { attachment } = await storage.get(target.storage).getAttachment({ volumeId: target.volumeId }, context);
    if (attachment !== undefined) {
      throw new VdcError("FAILED_PRECONDITION", `volume '${volume.name}' is attached to host '${attachment.host}'`, {
        blockers: [{ kind: "host", name: attachment.host }],
      });
    }
    if (volume.capacityBytes >= disk.capacityBytes) return;
    throw new VdcError(
      "OUT_OF_RANGE",
      `volume '${volume.name}' has ${volume.capacityBytes} bytes, and disk '${disk.diskId}' needs ${disk.capacityBytes}`,
    );
  }

  async #isThere(done: RestoredDisk, context: OperationContext): Promise<boolean> {
    const { storage } = this.#environment;
    if (!storage.has(done.storage)) return true;
    return (await storage.findVolume(done.storage, done.volumeId, context)) !== undefined;
  }

  async #takeBackQuietly(target: RestoreTarget, context: OperationContext): Promise<void> {
    try {
      const record = await this.#store.find(target);
      if (record !== undefined) await this.#takeBack(record, releaseContext(context));
    } catch (error) {
      context.logger.warn("what a restore made could not be removed", {
        storage: target.storage,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** Detaches, and deletes a volume that the restore made: only one that bears its stamp. */
  async #takeBack(record: RestoreRecord, context: OperationContext): Promise<void> {
    const { storage, host } = this.#environment;
    const { target, generation } = record;
    const provider = storage.get(target.storage);
    const volume =
      target.kind === "new"
        ? await storage.findByName(target.storage, target.name, context)
        : await storage.findVolume(target.storage, target.volumeId, context);
    const ours = target.kind === "volume" || volume?.owner?.uid === record.attempt;
    if (volume !== undefined && ours) {
      const { volumeId } = volume;
      if (generation > 0) {
        await storage.patiently(context, () => provider.detachVolume({ volumeId, host, generation }, context));
      }
      if (target.kind === "new") {
        await storage.patiently(context, () => provider.deleteVolume({ volumeId }, context));
      }
    }
    await this.#store.remove(record);
  }

  #stamp({ attempt, recoveryPointId }: RestoreRecord, tenant: string) {
    const { id } = this.#environment.repository;
    return { datacenter: `vdc-backup-${id}`, tenant, kind: "Restore", name: recoveryPointId, uid: attempt };
  }

  async #alone<T>(target: RestoreTarget, run: () => Promise<T>): Promise<T> {
    const key = targetKey(target);
    if (this.#busy.has(key)) {
      throw new VdcError("ABORTED", "another restore writes to the same target: try again", {
        reason: "VDC_RESTORE_RUNNING",
      });
    }
    this.#busy.add(key);
    try {
      return await run();
    } finally {
      this.#busy.delete(key);
    }
  }
}

/** The error for a point that is not there. */
export function absentPoint(recoveryPointId: string): VdcError {
  return new VdcError("NOT_FOUND", `there is no recovery point '${recoveryPointId}'`);
}

function isSame(record: RestoreRecord, wanted: Pick<RestoreRecord, "recoveryPointId" | "diskId" | "target">): boolean {
  const { recoveryPointId, diskId, target } = record;
  return isDeepStrictEqual({ recoveryPointId, diskId, target }, wanted);
}
