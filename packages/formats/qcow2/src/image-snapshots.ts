import type { BlockSource } from "./block-source.ts";
import type { ImageCore } from "./image-core.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { SnapshotView } from "./snapshot-view.ts";
import {
  applySnapshot,
  type CreateSnapshotOptions,
  createSnapshot,
  deleteSnapshot,
  findSnapshot,
  listSnapshots,
  type SnapshotInfo,
} from "./snapshots.ts";

/**
 * The internal snapshots of an open image.
 *
 * A change is durable when its promise settles, and other writing goes on around it. Whenever a crash comes, the snapshot is there or it is not, and both
 * the disk and every snapshot read as they did: version 3 images are marked dirty meanwhile, and opening counts their references anew.
 *
 * Where an id or a name is asked for, ids come first. Errors of every method: `CLOSED`, `CORRUPT`; of changes: `READ_ONLY`, `FAILED`,
 * `NO_SPACE`, `UNSUPPORTED_FEATURE` with an external data file.
 */
export class ImageSnapshots {
  readonly #use: () => ImageCore;
  readonly #views = new Map<string, number>();

  /** `use` gives the image's parts and throws once it is closed. */
  constructor(use: () => ImageCore) {
    this.#use = use;
  }

  /** In the order of the file, oldest first. */
  list(): SnapshotInfo[] {
    return listSnapshots(this.#use());
  }

  /** Keeps the disk as it is now, with everything written so far. Errors: `INVALID_ARGUMENT`, `TOO_LARGE`, `REFCOUNT_LIMIT`. */
  async create(options: CreateSnapshotOptions = {}): Promise<SnapshotInfo> {
    return createSnapshot(this.#use(), options);
  }

  /** Errors: `NOT_FOUND`, `IN_USE` while it is open. */
  async delete(idOrName: string): Promise<void> {
    const core = this.#use();
    const { id } = findSnapshot(core, idOrName);
    if ((this.#views.get(id) ?? 0) > 0) {
      throw new Qcow2Error("IN_USE", `snapshot '${id}' of '${core.file.path}' is open`);
    }
    deleteSnapshot(core, id);
  }

  /**
   * Makes the disk what it was when the snapshot was taken, its size too. What was written since is lost unless another snapshot holds it.
   * Bitmaps that record call the whole disk dirty. Errors: `NOT_FOUND`, `REFCOUNT_LIMIT`.
   */
  async apply(idOrName: string): Promise<void> {
    applySnapshot(this.#use(), idOrName);
  }

  /** Opens a snapshot for reading; the image may be written meanwhile. Close it before deleting it. Errors: `NOT_FOUND`. */
  open(idOrName: string, options: { readonly cacheBytes?: number } = {}): BlockSource & AsyncDisposable {
    const core = this.#use();
    const snapshot = findSnapshot(core, idOrName);
    this.#views.set(snapshot.id, (this.#views.get(snapshot.id) ?? 0) + 1);
    return new SnapshotView(core, snapshot, {
      cacheBytes: options.cacheBytes ?? 4 * 1024 * 1024,
      use: this.#use,
      onClose: () => this.#views.set(snapshot.id, (this.#views.get(snapshot.id) ?? 1) - 1),
    });
  }
}
