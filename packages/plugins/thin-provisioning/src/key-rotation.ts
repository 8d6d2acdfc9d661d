import { chmod } from "node:fs/promises";
import { type OperationContext, VdcError } from "@vdc-os/core";
import type { KeyDelivery } from "./key-delivery.ts";
import { isSameKey, type KeyRecord } from "./key-reference.ts";
import type { KeyResolver } from "./key-resolver.ts";
import { assertAttachmentSettled, type LayerChanges, servedWriter } from "./layer-changes.ts";
import { layersBelow } from "./no-backing.ts";
import type { StorageProcesses } from "./storage-processes.ts";
import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import type { VolumeImages } from "./volume-images.ts";
import type { VolumeKeys } from "./volume-keys.ts";

/** Options of {@link KeyRotation}. */
export interface KeyRotationOptions {
  readonly catalog: VolumeCatalog;
  readonly processes: StorageProcesses;
  readonly images: VolumeImages;
  readonly keys: KeyResolver;
  readonly layers: LayerChanges;
  readonly delivery: KeyDelivery;
}

/**
 * Changes of volumes' keys. Each image of a volume has a random master key that never changes, kept under the volume's key; to change that is to write a few hundred kilobytes
 * for each image, whatever its size. The record says first that it is begun: from then on each image is opened with whichever of the two keys fits, until all have the new one.
 */
export class KeyRotation {
  readonly #options: KeyRotationOptions;

  constructor(options: KeyRotationOptions) {
    this.#options = options;
  }

  /** Gives a volume another key. A kill at any moment leaves it to {@link resume}. */
  rotate(entry: VolumeEntry, nextKey: KeyRecord, context: OperationContext): Promise<void> {
    const { catalog } = this.#options;
    return this.#alone(entry, context, async () => {
      const begun = this.#encryptionOf(entry).nextKey;
      // What another change has begun is finished: some images may have its key already.
      if (begun !== undefined && !isSameKey(begun, nextKey)) await this.#finish(entry, context);
      const { key } = this.#encryptionOf(entry);
      await catalog.update(entry, (record) => ({ ...record, encryption: { key, nextKey } }));
      try {
        await this.#finish(entry, context);
      } catch (error) {
        // It goes on by itself.
        this.#options.delivery.watch();
        throw error;
      }
    });
  }

  /** Finishes a change of key that was cut short. */
  resume(entry: VolumeEntry, context: OperationContext): Promise<void> {
    return this.#alone(entry, context, () => this.#finish(entry, context));
  }

  async #alone(entry: VolumeEntry, context: OperationContext, run: () => Promise<void>): Promise<void> {
    await entry.change(["content"], "rotateKey", async () => {
      assertAttachmentSettled(entry);
      this.#encryptionOf(entry);
      await this.#options.layers.settle(entry, context);
      await run();
    });
  }

  async #finish(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const { catalog, delivery, keys, processes } = this.#options;
    const { nextKey } = this.#encryptionOf(entry);
    if (nextKey === undefined) return;
    const both = await keys.keysOf(entry, context, { needsNext: true });
    // Whoever opens an image again meanwhile may find it with either.
    await delivery.spread(entry, context);
    for (const { snapshotId } of entry.record.snapshots ?? []) await this.#change(entry, { snapshotId, both }, context);
    const writer = servedWriter(entry.record);
    const wire = both.wire();
    if (writer === undefined) await this.#change(entry, { snapshotId: undefined, both }, context);
    else await processes.request(writer.host, "rotateKey", { ...writer.owner, ...(wire && { keys: wire }) }, context);
    await catalog.update(entry, (record) => ({ ...record, encryption: { key: nextKey } }));
    await delivery.spread(entry, context);
  }

  /** Only the header of the image changes: others may have it open to read it, and go on. */
  async #change(
    entry: VolumeEntry,
    { snapshotId, both }: { readonly snapshotId: string | undefined; readonly both: VolumeKeys },
    context: OperationContext,
  ): Promise<void> {
    const { images } = this.#options;
    const path = snapshotId === undefined ? undefined : images.layout.layer(entry.volumeId, snapshotId);
    if (path !== undefined) await chmod(path, 0o600);
    try {
      const lock = path === undefined && !entry.isParent && entry.record.attachment === undefined;
      await using image = await images.open(entry, { snapshotId, lock, resolveBacking: layersBelow(0) }, context);
      for (const change of both.changesOf(entry.volumeId)) await image.keys.change(change);
    } finally {
      if (path !== undefined) await chmod(path, 0o444);
    }
  }

  #encryptionOf({ record: { name, encryption } }: VolumeEntry): NonNullable<typeof encryption> {
    if (encryption !== undefined) return encryption;
    throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is not encrypted, and has no key to change`, {
      reason: "VDC_NOT_ENCRYPTED",
    });
  }
}
