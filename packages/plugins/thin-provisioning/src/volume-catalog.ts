import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Logger, VdcError } from "@vdc-os/core";
import { removeUnfinishedWrites, syncDirectory, writeFileAtomic } from "@vdc-os/core/local";
import { inspect, removeAbandonedClaims } from "@vdc-os/qcow2";
import { FolderSync, syncPath, writeNewFile } from "./durable-file.ts";
import { lowestLayerOf } from "./layer-tree.ts";
import { imageName, incomingPrefix, isVolumeId, layerName, type PoolLayout, recordName } from "./pool-layout.ts";
import { VolumeEntry } from "./volume-entry.ts";
import { SnapshotIndex } from "./snapshot-index.ts";
import { formatRecord, isSameRequest, readRecord, type VolumeRecord, type VolumeRequest } from "./volume-record.ts";

/** A volume to be made. */
export interface NewVolume {
  readonly volumeId: string;
  readonly name: string;
  readonly request: VolumeRequest;
  readonly createdAt: number;
  readonly parentVolumeId?: string | undefined;
  readonly parentSnapshotId?: string | undefined;
  /** Checks that it may be made, and how large it becomes. Runs once its name is reserved. */
  measure(): number | Promise<number>;
  /** Makes the image at a path, and makes its content durable. */
  write(imagePath: string, capacityBytes: number): Promise<void>;
  /** Whether `write` has made the file, under its name, when it returns its promise. Defaults to false. */
  readonly isQuick?: boolean;
}

/**
 * The volumes of a pool. The folders are the truth; what is in memory is rebuilt from them when the pool is opened.
 *
 * A volume appears by one rename of a complete, synced folder, and goes by one rename into the trash, so that a kill at any instant
 * leaves it whole or absent. What else a kill leaves is swept at the next opening.
 */
export class VolumeCatalog {
  readonly layout: PoolLayout;
  readonly snapshots: SnapshotIndex = new SnapshotIndex();
  readonly #entries = new Map<string, VolumeEntry>();
  readonly #byName = new Map<string, VolumeEntry>();
  readonly #incoming = new Map<string, { readonly request: VolumeRequest; readonly done: Promise<VolumeEntry> }>();
  readonly #volumesFolder: FolderSync;
  readonly #trashFolder: FolderSync;
  readonly #damaged: string[] = [];
  #sortedNames: readonly string[] | undefined;
  #provisionedBytes = 0;

  private constructor(layout: PoolLayout) {
    this.layout = layout;
    this.#volumesFolder = new FolderSync(layout.volumes);
    this.#trashFolder = new FolderSync(layout.trash);
  }

  /** Reads a pool's folder, and sweeps what a kill left. The caller holds the pool's lock. */
  static async open(layout: PoolLayout, logger: Logger): Promise<VolumeCatalog> {
    const made = [layout.volumes, layout.trash].map((folder) => mkdirSync(folder, { recursive: true, mode: 0o700 }));
    // What is synced in a folder is found again only by the folder's own name.
    if (made.some((folder) => folder !== undefined)) await syncDirectory(layout.root);
    for (const name of readdirSync(layout.trash)) rmSync(join(layout.trash, name), { recursive: true, force: true });
    const catalog = new VolumeCatalog(layout);
    for (const name of readdirSync(layout.volumes)) {
      if (name.startsWith(incomingPrefix)) rmSync(join(layout.volumes, name), { recursive: true, force: true });
      else if (isVolumeId(name)) await catalog.#load(name, logger);
    }
    for (const entry of catalog.#entries.values()) {
      const { parentVolumeId, parentSnapshotId } = entry.record;
      if (parentVolumeId !== undefined) catalog.find(parentVolumeId)?.setChild(entry.volumeId, parentSnapshotId, true);
    }
    return catalog;
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
    this.#sortedNames ??= [...this.#byName.keys()].sort();
    return this.#sortedNames;
  }

  get entries(): Iterable<VolumeEntry> {
    return this.#entries.values();
  }

  find(volumeId: string): VolumeEntry | undefined {
    return this.#entries.get(volumeId);
  }

  findByName(name: string): VolumeEntry | undefined {
    return this.#byName.get(name);
  }

  /** A volume. Throws `NOT_FOUND`. */
  get(volumeId: string): VolumeEntry {
    const entry = this.#entries.get(volumeId);
    if (entry !== undefined) return entry;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}' in this pool`, { reason: "VDC_NO_SUCH_VOLUME" });
  }

  /** Makes a volume, or returns the one of that name and request. Durable when it resolves. */
  async create(volume: NewVolume): Promise<VolumeEntry> {
    for (;;) {
      const present = this.#byName.get(volume.name);
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
          throw new VdcError("ABORTED", `volume '${volume.name}' is being deleted: try again`, {
            reason: "VDC_VOLUME_BUSY",
          });
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
      const next = change(entry.record);
      if (next === entry.record || entry.removed) return;
      await writeFileAtomic(this.layout.record(entry.volumeId), formatRecord(next));
      const before = entry.record;
      entry.record = next;
      this.#provisionedBytes += next.capacityBytes - before.capacityBytes;
      this.snapshots.follow(entry, before, next);
      if (before.parentVolumeId !== undefined && next.parentVolumeId === undefined) {
        this.find(before.parentVolumeId)?.setChild(entry.volumeId, before.parentSnapshotId, false);
      }
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
      await rename(this.layout.volume(volumeId), trash);
    } catch (error) {
      entry.removed = false;
      throw error;
    }
    this.#entries.delete(volumeId);
    this.#byName.delete(record.name);
    this.#sortedNames = undefined;
    this.#provisionedBytes -= record.capacityBytes;
    this.snapshots.follow(entry, record, undefined);
    if (record.parentVolumeId !== undefined)
      this.find(record.parentVolumeId)?.setChild(volumeId, record.parentSnapshotId, false);
    await Promise.all([this.#volumesFolder.sync(), this.#trashFolder.sync()]);
    await rm(trash, { recursive: true, force: true });
  }

  async #make(volume: NewVolume): Promise<VolumeEntry> {
    const { volumeId } = volume;
    const parent = volume.parentVolumeId === undefined ? undefined : this.get(volume.parentVolumeId);
    const { parentSnapshotId } = volume;
    if (parentSnapshotId !== undefined) parent?.snapshotPins.push(parentSnapshotId);
    else if (parent !== undefined) parent.pins++;
    let reserved = 0;
    const folder = this.layout.incoming(volumeId);
    try {
      const capacityBytes = await volume.measure();
      this.#provisionedBytes += capacityBytes;
      reserved = capacityBytes;
      const record: VolumeRecord = {
        format: 1,
        volumeId,
        name: volume.name,
        capacityBytes,
        createdAt: volume.createdAt,
        request: volume.request,
        parentVolumeId: volume.parentVolumeId,
        parentSnapshotId,
        highWater: 0,
      };
      mkdirSync(folder, { mode: 0o700 });
      // Both have ended when one has failed: the folder could not be removed under the other. All at once, since a file system makes what is asked for together durable together. The name that counts comes after all of them.
      const written = volume.write(join(folder, imageName), capacityBytes);
      const recorded = writeNewFile(join(folder, recordName), formatRecord(record));
      const settled = await Promise.allSettled([written, recorded, volume.isQuick ? syncPath(folder) : undefined]);
      for (const result of settled) if (result.status === "rejected") throw result.reason;
      if (!volume.isQuick) await syncPath(folder);
      renameSync(folder, this.layout.volume(volumeId));
      try {
        await this.#volumesFolder.sync();
      } catch (error) {
        await rename(this.layout.volume(volumeId), folder);
        throw error;
      }
      return this.#add(new VolumeEntry(record));
    } catch (error) {
      this.#provisionedBytes -= reserved;
      await rm(folder, { recursive: true, force: true });
      throw error;
    } finally {
      if (parentSnapshotId !== undefined) parent?.snapshotPins.splice(parent.snapshotPins.indexOf(parentSnapshotId), 1);
      else if (parent !== undefined) parent.pins--;
    }
  }

  #add(entry: VolumeEntry): VolumeEntry {
    const { record } = entry;
    this.#entries.set(record.volumeId, entry);
    this.#byName.set(record.name, entry);
    this.#sortedNames = undefined;
    this.snapshots.follow(entry, undefined, record);
    if (record.parentVolumeId !== undefined)
      this.find(record.parentVolumeId)?.setChild(record.volumeId, record.parentSnapshotId, true);
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
    const entry = this.#add(new VolumeEntry(record));
    this.#provisionedBytes += record.capacityBytes;
    if (record.changing) await this.#reconcile(entry);
    this.#removeOrphans(entry);
  }

  /** Removes what a call that a kill cut short left in a volume's folder. */
  #removeOrphans({ volumeId, record }: VolumeEntry): void {
    const { snapshots = [], checkpoints = [], pending } = record;
    const known = new Set([
      ...snapshots.map(({ snapshotId }) => layerName(snapshotId)),
      ...(pending?.kind === "snapshot" ? [layerName(pending.snapshot.snapshotId)] : []),
      ...checkpoints.map(({ checkpoint }) => basename(this.layout.changes(volumeId, checkpoint))),
    ]);
    for (const name of readdirSync(this.layout.volume(volumeId))) {
      const [id = "", kind] = name.split(".");
      if (!isVolumeId(id) || (kind !== "qcow2" && kind !== "changes") || known.has(name)) continue;
      rmSync(join(this.layout.volume(volumeId), name), { force: true });
    }
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
