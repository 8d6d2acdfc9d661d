import { chmod, link, readdir, rename, rm } from "node:fs/promises";
import { statSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory } from "@vdc-os/core/local";
import { createImage, type NewEncryption, removeAbandonedClaims } from "@vdc-os/qcow2";
import { imageName, layerName } from "./pool-layout.ts";

/** The overlay that takes the volume's place next. */
const nextName = ".next.qcow2";

/** An overlay to be made. */
export interface NewActiveLayer {
  /** The layer that it lies on. */
  readonly snapshotId: string;
  readonly capacityBytes: number;
  readonly clusterBytes: number;
  /** How it is encrypted; asked for when it is made. */
  readonly encryption: () => NewEncryption | undefined | Promise<NewEncryption | undefined>;
}

/**
 * The layers in one volume's folder. `disk.qcow2` is never missing: a snapshot gives it a second name, the layer's, and then a new overlay on
 * that takes the first name by one rename. After a kill or power loss between any two steps the files show how far it came.
 */
export class LayerFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the overlay, durably, beside the volume's image. It has no effect yet. */
  async prepare({ snapshotId, capacityBytes, clusterBytes, encryption }: NewActiveLayer): Promise<void> {
    const path = join(this.#folder, nextName);
    await this.#removePrepared();
    const encrypted = await encryption();
    await createImage({
      path,
      virtualSizeBytes: capacityBytes,
      clusterSizeBytes: clusterBytes,
      backing: { path: layerName(snapshotId), format: "qcow2" },
      ...(encrypted === undefined ? {} : { encryption: encrypted }),
      durable: false,
    });
    await syncDirectory(path);
  }

  /** Makes the present image a layer, and what was prepared the image. Nobody may have the image open for writing. */
  async switch(snapshotId: string): Promise<void> {
    const layer = join(this.#folder, layerName(snapshotId));
    await link(join(this.#folder, imageName), layer);
    try {
      // The layer's name must not be the later one of the two to reach the disk.
      await syncDirectory(this.#folder);
      await this.#activate(snapshotId);
    } catch (error) {
      if (!this.isDone(snapshotId)) await rm(layer, { force: true });
      throw error;
    }
  }

  /** Whether a snapshot's switch is done. */
  isDone(snapshotId: string): boolean {
    const layer = statSync(join(this.#folder, layerName(snapshotId)), { throwIfNoEntry: false });
    return layer !== undefined && layer.ino !== statSync(join(this.#folder, imageName)).ino;
  }

  /** Finishes a switch that was cut short, or undoes what was prepared for it. Tells whether the layer is there now. */
  async settle(next: NewActiveLayer): Promise<boolean> {
    const layer = statSync(join(this.#folder, layerName(next.snapshotId)), { throwIfNoEntry: false });
    if (layer === undefined) {
      await this.#removePrepared();
      return false;
    }
    if (this.isDone(next.snapshotId)) {
      await chmod(join(this.#folder, layerName(next.snapshotId)), 0o444);
      return true;
    }
    await this.prepare(next);
    await this.#activate(next.snapshotId);
    return true;
  }

  /** Replaces the image by an empty overlay on a layer. May be repeated. */
  async revert(next: NewActiveLayer): Promise<void> {
    await this.prepare(next);
    await rename(join(this.#folder, nextName), join(this.#folder, imageName));
    await syncDirectory(this.#folder);
  }

  /** Removes a layer that nothing lies on any more. Removing what is absent succeeds. */
  async remove(snapshotId: string): Promise<void> {
    const path = join(this.#folder, layerName(snapshotId));
    await rm(path, { force: true });
    removeAbandonedClaims(path);
    await syncDirectory(this.#folder);
  }

  /** Removes what was prepared, also what a kill left under the name that a new image has until it is whole. */
  async #removePrepared(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const isUnfinished = name.startsWith(`.${nextName}.`) && name.endsWith(".tmp");
      if (name === nextName || isUnfinished) await rm(join(this.#folder, name), { force: true });
    }
  }

  async #activate(snapshotId: string): Promise<void> {
    await rename(join(this.#folder, nextName), join(this.#folder, imageName));
    await syncDirectory(this.#folder);
    await chmod(join(this.#folder, layerName(snapshotId)), 0o444);
  }
}
