import { chmod } from "node:fs/promises";
import { isVdcError, type Logger, type OperationContext, VdcError } from "@vdc-os/core";
import { inspect } from "@vdc-os/qcow2";
import { servedWriter } from "./layer-changes.ts";
import { LayerFiles } from "./layer-files.ts";
import { mergeLayer } from "./layer-merge.ts";
import { layersOn, withoutLayer } from "./layer-tree.ts";
import { layerName } from "./pool-layout.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import { storageFailure } from "./storage-failure.ts";
import type { StorageProcesses } from "./storage-processes.ts";
import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import type { VolumeImages } from "./volume-images.ts";

/** Options of {@link LayerRemoval}. */
export interface LayerRemovalOptions {
  readonly catalog: VolumeCatalog;
  readonly processes: StorageProcesses;
  readonly images: VolumeImages;
  readonly logger: Logger;
}

/**
 * Takes the layers of deleted snapshots from the disk: what the one image that lies on such a layer still reads from it is copied up into that image, also while
 * it is served and written; then the file goes. A layer that several lie on stays, seen by nobody, until there is one.
 */
export class LayerRemoval {
  readonly #options: LayerRemovalOptions;

  constructor(options: LayerRemovalOptions) {
    this.#options = options;
  }

  /**
   * Removes what can be removed now. The caller holds the volume's content. Throws only when the caller cancels: what can't be reached now waits for
   * the next time.
   */
  async sweep(entry: VolumeEntry, context: OperationContext): Promise<void> {
    for (;;) {
      const { snapshots = [], pending } = entry.record;
      if (pending !== undefined) return;
      const layer = snapshots.find((candidate) => this.#isRemovable(entry, candidate));
      if (layer === undefined) return;
      try {
        await this.#remove(entry, layer.snapshotId, context);
      } catch (error) {
        const failure = storageFailure(error, `removing snapshot '${layer.name}'`);
        if (isVdcError(failure, "CANCELLED") || isVdcError(failure, "DEADLINE_EXCEEDED")) throw failure;
        this.#options.logger.warn("a deleted snapshot's layer stays for now", {
          volumeId: entry.volumeId,
          snapshotId: layer.snapshotId,
          error: String(failure),
        });
        return;
      }
    }
  }

  #isRemovable(entry: VolumeEntry, { snapshotId, deleted, readers = [] }: SnapshotRecord): boolean {
    if (deleted !== true || readers.length > 0 || entry.childrenOf(snapshotId).size > 0) return false;
    if (entry.snapshotPins.includes(snapshotId)) return false;
    const above = layersOn(entry.record, snapshotId);
    if (above.length === 0) return true;
    // A VM monitor that has opened the chain by itself can't be told that it changes.
    if (above.length > 1 || this.#isReadDirectly(entry)) return false;
    const { attachment } = entry.record;
    return above[0] !== undefined || attachment === undefined || servedWriter(entry.record) !== undefined;
  }

  #isReadDirectly(entry: VolumeEntry): boolean {
    if (entry.record.attachment?.mode === "direct") return true;
    const children = [entry.children, ...entry.snapshotChildren.values()].flatMap((ids) => [...ids]);
    return children.some((volumeId) => {
      const child = this.#options.catalog.find(volumeId);
      return child !== undefined && this.#isReadDirectly(child);
    });
  }

  async #remove(entry: VolumeEntry, snapshotId: string, context: OperationContext): Promise<void> {
    const { catalog, processes } = this.#options;
    const { layout } = catalog;
    const { volumeId } = entry;
    const above = layersOn(entry.record, snapshotId);
    const writer = servedWriter(entry.record);
    if (above.length > 0) {
      const upper = above[0];
      const path = upper === undefined ? layout.image(volumeId) : layout.layer(volumeId, upper.snapshotId);
      // A kill may have come between the merge and the record.
      const merged = (await inspect(path)).backing?.path !== layerName(snapshotId);
      if (!merged && upper === undefined && writer !== undefined) {
        await processes.request(writer.host, "merge", { ...writer.owner, snapshotId }, context);
      } else if (!merged) {
        await this.#mergeHere({ entry, path, snapshotId, upperId: upper?.snapshotId }, context);
      }
      // Nothing is removed on anybody's word.
      if ((await inspect(path)).backing?.path === layerName(snapshotId)) {
        throw new VdcError("INTERNAL", `layer '${snapshotId}' is still read after it was merged`);
      }
    }
    // A kill in between leaves a file that nobody knows: the next opening removes it.
    await catalog.update(entry, (record) => withoutLayer(record, snapshotId));
    await new LayerFiles(layout.volume(volumeId)).remove(snapshotId);
    if (writer !== undefined && above[0] !== undefined) {
      // So that the file's space comes back now; what is read is the same.
      await processes.request(writer.host, "reopen", { ...writer.owner }, context).catch(() => {});
    }
  }

  async #mergeHere(
    merge: {
      readonly entry: VolumeEntry;
      readonly path: string;
      readonly snapshotId: string;
      /** The layer that it is merged into; the volume's image when there is none. */
      readonly upperId: string | undefined;
    },
    context: OperationContext,
  ): Promise<void> {
    const { layout } = this.#options.catalog;
    const { entry, path, snapshotId, upperId } = merge;
    const isLayer = upperId !== undefined;
    if (isLayer) await chmod(path, 0o600);
    try {
      // Without a claim: others have the layer open to read it. They go on doing so, since what a cluster reads as never changes.
      const lock = !isLayer && !entry.isParent;
      await using image = await this.#options.images.open(entry, { snapshotId: upperId, lock }, context);
      await mergeLayer(image, {
        snapshotId,
        layerPath: layout.layer(entry.volumeId, snapshotId),
        signal: context.signal,
        onProgress: (fraction) => context.progress({ fraction, message: "merging a layer" }),
      });
    } finally {
      if (isLayer) await chmod(path, 0o444);
    }
  }
}
