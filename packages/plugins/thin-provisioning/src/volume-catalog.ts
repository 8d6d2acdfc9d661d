import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Logger, VdcError } from "@vdc-os/core";
import { removeUnfinishedWrites, syncDirectory, writeFileAtomic } from "@vdc-os/core/local";
import { inspect, removeAbandonedClaims } from "@vdc-os/qcow2";
import { PristineVolumes, type PristineVolumesOptions } from "./pristine-volumes.ts";
import { lowestLayerOf } from "./layer-tree.ts";
import type { NewVolume } from "./new-volume.ts";
import { incomingPrefix, isVolumeId, type PoolLayout } from "./pool-layout.ts";
import { storageFailure } from "./storage-failure.ts";
import { VolumeEntry } from "./volume-entry.ts";
import type { SnapshotIndex } from "./snapshot-index.ts";
import { VolumeIndex } from "./volume-index.ts";
import { discardVolumeFolder, makeVolumeFolder, removeOrphans } from "./volume-folder.ts";
import { formatRecord, isSameRequest, readRecord, type VolumeRecord, type VolumeRequest } from "./volume-record.ts";

/**
 * The volumes of a pool. The folders and the log are the truth; what is in memory is rebuilt from them when the pool is opened.
 *
 * A volume appears by one rename of a complete folder, and goes by one rename into the trash, so that a kill at any instant
 * leaves it whole or absent. What else a kill leaves is swept at the next opening.
 *
 * A volume that is empty at first is on disk as an entry of the log alone. Its folder comes later, and is on disk before anything else is done with the volume.
 */
export class VolumeCatalog {
  readonly layout: PoolLayout;
  readonly #index = new VolumeIndex();
  readonly #incoming = new Map<string, { readonly request: VolumeRequest; readonly done: Promise<VolumeEntry> }>();
  readonly #pristine: PristineVolumes;
  readonly #damaged: string[] = [];
  #provisionedBytes = 0;

  private constructor(options: PristineVolumesOptions) {
    this.layout = options.layout;
    this.#pristine = new PristineVolumes(options);
  }

  /** Reads a pool's folder, sweeps what a kill left, and makes again what a power loss took. The caller holds the pool's lock. */
  static async open(options: PristineVolumesOptions): Promise<VolumeCatalog> {
    const { layout, logger } = options;
    const folders = [layout.volumes, layout.trash, layout.log];
    const made = folders.map((folder) => mkdirSync(folder, { recursive: true, mode: 0o700 }));
    // What is synced in a folder is found again only by the folder's own name.
    if (made.some((folder) => folder !== undefined)) await syncDirectory(layout.root);
    for (const name of readdirSync(layout.trash)) rmSync(join(layout.trash, name), { recursive: true, force: true });
    const catalog = new VolumeCatalog(options);
    try {
      await catalog.#read(logger);
      return catalog;
    } catch (error) {
      catalog.close();
      throw error;
    }
  }

  async #read(logger: Logger): Promise<void> {
    const { volumes } = this.layout;
    for (const name of readdirSync(volumes)) {
      const isGone = name.startsWith(incomingPrefix) || this.#pristine.isDeleted(name);
      if (isGone) rmSync(join(volumes, name), { recursive: true, force: true });
      else if (isVolumeId(name) && !this.#pristine.records.has(name)) await this.#load(name, logger);
    }
    for (const record of this.#pristine.records.values()) {
      this.#index.add(this.#pristineEntry(record));
      this.#provisionedBytes += record.capacityBytes;
    }
    // A parent may have been read after its child.
    for (const entry of this.entries) this.#index.setChild(entry.volumeId, entry.record, true);
  }

  /** The sum of the virtual sizes, with the volumes that are being made. */
  get provisionedBytes(): number {
    return this.#provisionedBytes;
  }

  /** Ids of folders whose record can't be read. Nothing touches them. */
  get damaged(): readonly string[] {
    return this.#damaged;
  }

  /** The names, in order. */
  get names(): readonly string[] {
    return this.#index.names;
  }

  get entries(): Iterable<VolumeEntry> {
    return this.#index.entries;
  }

  get snapshots(): SnapshotIndex {
    return this.#index.snapshots;
  }

  find(volumeId: string): VolumeEntry | undefined {
    return this.#index.find(volumeId);
  }

  findByName(name: string): VolumeEntry | undefined {
    return this.#index.findByName(name);
  }

  /** A volume. Throws `NOT_FOUND`. */
  get(volumeId: string): VolumeEntry {
    const entry = this.#index.find(volumeId);
    if (entry !== undefined) return entry;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}' in this pool`, { reason: "VDC_NO_SUCH_VOLUME" });
  }

  /** Makes a volume, or returns the one of that name and request. Durable when it resolves. */
  async create(volume: NewVolume): Promise<VolumeEntry> {
    for (;;) {
      const present = this.#index.findByName(volume.name);
      const incoming = this.#incoming.get(volume.name);
      const request = present?.record.request ?? incoming?.request;
      if (request !== undefined && !isSameRequest(request, volume.request)) {
        throw new VdcError("ALREADY_EXISTS", `the name '${volume.name}' is taken by a volume with another spec`, {
          reason: "VDC_VOLUME_EXISTS",
        });
      }
      if (present !== undefined) {
        // While it is being deleted it is neither there nor gone.
        const change = present.changeIn("content");
        if (change === "delete") {
          throw isBeingDeleted(volume.name);
        }
        return present;
      }
      if (incoming === undefined) break;
      const made = await incoming.done.catch(() => undefined);
      if (made !== undefined) return made;
    }
    const done = this.#make(volume);
    this.#incoming.set(volume.name, { request: volume.request, done });
    try {
      return await done;
    } finally {
      this.#incoming.delete(volume.name);
    }
  }

  /** Changes a volume's record. Durable when it resolves; a reader sees the change only then. */
  update(entry: VolumeEntry, change: (record: VolumeRecord) => VolumeRecord): Promise<void> {
    const write = async (): Promise<void> => {
      await entry.persist();
      const next = change(entry.record);
      if (next === entry.record || entry.removed) return;
      await writeFileAtomic(this.layout.record(entry.volumeId), formatRecord(next));
      const before = entry.record;
      entry.record = next;
      this.#provisionedBytes += next.capacityBytes - before.capacityBytes;
      this.snapshots.follow(entry, before, next);
      if (next.parentVolumeId === undefined) this.#index.setChild(entry.volumeId, before, false);
    };
    const written = entry.writing.then(write);
    entry.writing = written.catch(() => {});
    return written;
  }

  /** Removes a volume that the caller holds alone. Durable when it resolves. */
  async remove(entry: VolumeEntry): Promise<void> {
    const { volumeId, record } = entry;
    await entry.writing;
    entry.removed = true;
    const trash = this.layout.discarded(volumeId);
    try {
      const hasFolder = discardVolumeFolder(this.layout, volumeId);
      try {
        await this.#pristine.remove(volumeId);
      } catch (error) {
        if (hasFolder) renameSync(trash, this.layout.volume(volumeId));
        throw error;
      }
    } catch (error) {
      entry.removed = false;
      throw error;
    }
    this.#index.remove(entry);
    this.#provisionedBytes -= record.capacityBytes;
    await rm(trash, { recursive: true, force: true });
  }

  /** Resolves when every volume has its files under its name. They are made by themselves a little later. */
  filesMade(): Promise<void> {
    return this.#pristine.filesMade();
  }

  /** Gives up what is open. What was begun is still written. */
  close(): void {
    this.#pristine.close();
  }

  async #make(volume: NewVolume): Promise<VolumeEntry> {
    const { volumeId, write } = volume;
    const parent = volume.parentVolumeId === undefined ? undefined : this.get(volume.parentVolumeId);
    const { parentSnapshotId } = volume;
    if (parentSnapshotId !== undefined) parent?.snapshotPins.push(parentSnapshotId);
    else if (parent !== undefined) parent.pins++;
    let reserved = 0;
    try {
      const measured = volume.measure();
      const capacityBytes = typeof measured === "number" ? measured : await measured;
      this.#provisionedBytes += capacityBytes;
      reserved = capacityBytes;
      const encryption = volume.encrypt === undefined ? undefined : await volume.encrypt();
      const record: VolumeRecord = {
        format: 1,
        volumeId,
        name: volume.name,
        capacityBytes,
        createdAt: volume.createdAt,
        request: volume.request,
        parentVolumeId: volume.parentVolumeId,
        parentSnapshotId,
        encryption: encryption?.record,
        highWater: 0,
      };
      if (write === undefined) await this.#pristine.add(record);
      else await this.#makeByFolder(record, (path) => write(path, capacityBytes, encryption?.image));
      return this.#index.add(write === undefined ? this.#pristineEntry(record) : new VolumeEntry(record));
    } catch (error) {
      this.#provisionedBytes -= reserved;
      throw error;
    } finally {
      if (parentSnapshotId !== undefined) parent?.snapshotPins.splice(parent.snapshotPins.indexOf(parentSnapshotId), 1);
      else if (parent !== undefined) parent.pins--;
    }
  }

  /** Makes a volume whose folder is on disk when it appears, with those of the volumes that it reads from. */
  async #makeByFolder(record: VolumeRecord, write: (imagePath: string) => Promise<void>): Promise<void> {
    if (record.parentVolumeId !== undefined) await this.find(record.parentVolumeId)?.persist();
    await makeVolumeFolder(this.layout, { record, write, syncNames: () => this.#pristine.syncNames() });
  }

  /** Brings the folder of a volume to the disk, and before it those of the volumes that it reads from: whoever opens it opens them. */
  async #persist(entry: VolumeEntry): Promise<void> {
    const { record } = entry;
    if (record.parentVolumeId !== undefined) await this.find(record.parentVolumeId)?.persist();
    if (entry.removed) throw isBeingDeleted(record.name);
    try {
      await this.#pristine.persist(record);
    } catch (error) {
      throw storageFailure(error, `making the files of volume '${record.name}'`);
    }
  }

  #pristineEntry(record: VolumeRecord): VolumeEntry {
    const entry: VolumeEntry = new VolumeEntry(record, () => this.#persist(entry));
    return entry;
  }

  async #load(volumeId: string, logger: Logger): Promise<void> {
    let record: VolumeRecord;
    try {
      record = readRecord(this.layout.record(volumeId));
    } catch (error) {
      logger.error("a volume's record cannot be read; the volume is left alone", { volumeId, error: String(error) });
      this.#damaged.push(volumeId);
      return;
    }
    await removeUnfinishedWrites(this.layout.record(volumeId));
    removeAbandonedClaims(this.layout.image(volumeId));
    const entry = this.#index.add(new VolumeEntry(record));
    this.#provisionedBytes += record.capacityBytes;
    if (record.changing) await this.#reconcile(entry);
    removeOrphans(this.layout, entry.record);
  }

  /** Brings a record up to its image: a change that was cut short may have reached the image alone. */
  async #reconcile(entry: VolumeEntry): Promise<void> {
    const { volumeId } = entry;
    const image = await inspect(this.layout.image(volumeId));
    const lowest = lowestLayerOf(entry.record);
    const root = lowest === undefined ? image : await inspect(this.layout.layer(volumeId, lowest.snapshotId));
    const standsAlone = root.backing === undefined;
    await this.update(entry, (record) => ({
      ...record,
      capacityBytes: image.virtualSizeBytes,
      parentVolumeId: standsAlone ? undefined : record.parentVolumeId,
      parentSnapshotId: standsAlone ? undefined : record.parentSnapshotId,
      changing: undefined,
    }));
  }
}

function isBeingDeleted(name: string): VdcError {
  return new VdcError("ABORTED", `volume '${name}' is being deleted: try again`, { reason: "VDC_VOLUME_BUSY" });
}
