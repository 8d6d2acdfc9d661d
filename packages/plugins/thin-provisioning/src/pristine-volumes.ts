import type { Logger } from "@vdc-os/core";
import { FolderSync, syncPath } from "./durable-file.ts";
import type { PoolLayout } from "./pool-layout.ts";
import { PoolLog } from "./pool-log.ts";
import { ensurePristineFiles } from "./pristine-files.ts";
import type { VolumeRecord } from "./volume-record.ts";

/** Options of {@link PristineVolumes}. */
export interface PristineVolumesOptions {
  readonly layout: PoolLayout;
  readonly logger: Logger;
  /** The least size of the log's segments, in bytes. Defaults to 1 MiB. */
  readonly logSegmentBytes?: number | undefined;
}

/** How long files are made at a stretch, and how long the pool is left alone for that, in milliseconds. */
const sliceMs = 2;
const pauseMs = 100;

/**
 * The volumes that nobody has used yet. Each is one entry of the pool's log; its files follow from that. They are made when the pool has nothing else to do, and at
 * the latest before the volume is used; only then they are synced, and the log gives the volume up. Deletes, of any volume, are entries as well.
 */
export class PristineVolumes {
  readonly #layout: PoolLayout;
  readonly #logger: Logger;
  readonly #log: PoolLog;
  readonly #volumesFolder: FolderSync;
  /** Whose files are to be made. */
  readonly #unmade = new Map<string, VolumeRecord>();
  #timer: NodeJS.Timeout | undefined;
  #lastUsed = 0;
  #closed = false;

  /** Reads the log. The pool's folders are there, and the caller holds its lock. */
  constructor({ layout, logger, logSegmentBytes }: PristineVolumesOptions) {
    this.#layout = layout;
    this.#logger = logger;
    this.#volumesFolder = new FolderSync(layout.volumes);
    this.#log = PoolLog.open({
      folder: layout.log,
      logger,
      segmentBytes: logSegmentBytes,
      // What was deleted has gone from the one folder to the other before the log was told.
      beforeForgetting: async () => void (await Promise.all([this.#volumesFolder.sync(), syncPath(layout.trash)])),
    });
    for (const [volumeId, record] of this.#log.made) this.#unmade.set(volumeId, record);
    this.#makeSoon();
  }

  /** By id, as the log has them when it is opened. */
  get records(): ReadonlyMap<string, VolumeRecord> {
    return this.#log.made;
  }

  /** Whether the log knows that a volume was deleted. */
  isDeleted(volumeId: string): boolean {
    return this.#log.deleted.has(volumeId);
  }

  /** Adds a volume. Durable when it resolves. */
  async add(record: VolumeRecord): Promise<void> {
    this.#lastUsed = performance.now();
    await this.#log.append({ kind: "made", record });
    this.#unmade.set(record.volumeId, record);
    this.#makeSoon();
  }

  /** Brings a volume's folder to the disk, for whoever is going to use it. Its parents' folders are there. */
  async persist(record: VolumeRecord): Promise<void> {
    this.#lastUsed = performance.now();
    const { volumeId } = record;
    const layout = this.#layout;
    this.#unmade.delete(volumeId);
    ensurePristineFiles(layout, record);
    const paths = [layout.image(volumeId), layout.record(volumeId), layout.volume(volumeId)];
    await Promise.all([...paths.map(syncPath), this.#volumesFolder.sync()]);
    await this.#log.append({ kind: "persisted", volumeId });
  }

  /** Writes down that a volume is deleted, whose folder has its place no more. Durable when it resolves. */
  async remove(volumeId: string): Promise<void> {
    this.#lastUsed = performance.now();
    const record = this.#unmade.get(volumeId);
    this.#unmade.delete(volumeId);
    try {
      await this.#log.append({ kind: "deleted", volumeId });
    } catch (error) {
      if (record !== undefined) this.#unmade.set(volumeId, record);
      throw error;
    }
  }

  /** Makes the names in the volumes' folder durable. */
  syncNames(): Promise<void> {
    return this.#volumesFolder.sync();
  }

  /** Resolves when all files are made that can be. */
  async filesMade(): Promise<void> {
    while (this.#unmade.size > 0 && !this.#closed) {
      this.#makeSome();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Gives the log up. What was begun is still written. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#log.close();
  }

  #makeSoon(): void {
    if (this.#timer !== undefined || this.#unmade.size === 0 || this.#closed) return;
    this.#timer = setTimeout(() => this.#makeAtLeisure(), pauseMs);
    this.#timer.unref();
  }

  /** Goes on for as long as nobody wants anything else. */
  #makeAtLeisure(): void {
    this.#timer = undefined;
    if (this.#closed) return;
    this.#makeSome();
    if (performance.now() - this.#lastUsed > pauseMs && this.#unmade.size > 0)
      setImmediate(() => this.#makeAtLeisure());
    else this.#makeSoon();
  }

  #makeSome(): void {
    const start = performance.now();
    for (const [volumeId, record] of this.#unmade) {
      if (performance.now() - start > sliceMs) return;
      this.#unmade.delete(volumeId);
      try {
        ensurePristineFiles(this.#layout, record);
      } catch (error) {
        // The log has the volume; whoever uses it tries again.
        this.#logger.warn("a volume's files could not be made yet", { volumeId, error: String(error) });
      }
    }
  }
}
