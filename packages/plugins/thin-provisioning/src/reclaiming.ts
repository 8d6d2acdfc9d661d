import { type OperationContext, VdcError } from "@vdc-os/core";
import type { DiscardFacet } from "@vdc-os/core/storage/v1";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { assertAttachmentSettled, servedWriter } from "./layer-changes.ts";
import { dropZeroes } from "./reclaim-image.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** What is worth a copy, in bytes, and as a fraction of the data that would be copied. */
const worthBytes = 4 * 1024 * 1024;
const worthFraction = 0.25;

/**
 * Facet `discard`. What a guest discards is free inside its image at once, and goes back to the file system with the next flush where holes can be punched. `reclaim` besides frees
 * clusters of zeroes, merges layers that nobody sees, and where the file system was not told of free clusters, copies what is used into a new file.
 */
export class Reclaiming implements DiscardFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async reclaim(
    { volumeId }: { readonly volumeId: string },
    context: OperationContext,
  ): Promise<{ readonly reclaimedBytes: number }> {
    assertNotCancelled(context);
    const pool = this.#pool;
    const entry = pool.catalog.get(volumeId);
    return entry.change(["content"], "reclaim", async () => {
      assertAttachmentSettled(entry);
      const { attachment, name } = entry.record;
      if (attachment !== undefined && servedWriter(entry.record) === undefined) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${name}' is attached ${attachment.access}, ${attachment.mode}: space is reclaimed while it is detached, or served for writing`,
          { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
        );
      }
      const before = pool.allocatedBytes(entry);
      try {
        await pool.layers.settle(entry, context);
        // A parent's image is read by others.
        if (!entry.isParent) {
          await this.#dropZeroes(entry, context);
          if (await this.#isWorthCopying(entry, context)) await this.#copy(entry, context);
        }
        await pool.removal.sweep(entry, context);
      } catch (error) {
        throw storageFailure(error, `reclaiming space of volume '${name}'`);
      }
      return { reclaimedBytes: Math.max(0, before - pool.allocatedBytes(entry)) };
    });
  }

  async #dropZeroes(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const { images, processes } = this.#pool;
    const writer = servedWriter(entry.record);
    if (writer !== undefined) {
      await processes.request(writer.host, "reclaim", { volumeId: entry.volumeId }, context);
      return;
    }
    await using image = await images.open(entry, { repairLeaks: "always" }, context);
    await dropZeroes(image, {
      signal: context.signal,
      onProgress: (fraction) => context.progress({ fraction, message: "looking for zeroes" }),
    });
  }

  /** Whether the file takes much more than what it holds. */
  async #isWorthCopying(entry: VolumeEntry, context: OperationContext): Promise<boolean> {
    await using image = await this.#pool.images.open(entry, { readOnly: true, lock: false }, context);
    const heldBytes = image.allocatedBytes();
    const unusedBytes = image.info().diskBytes - heldBytes;
    return unusedBytes > Math.max(worthBytes, heldBytes * worthFraction);
  }

  /** The image becomes a layer of a snapshot that is deleted already, and what it holds is merged into the overlay that takes its place. */
  async #copy(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const pool = this.#pool;
    pool.layers.assertCanTake(entry);
    await pool.layers.take(
      entry,
      {
        snapshotId: pool.random.uuid(),
        name: "",
        createdAt: pool.clock.now(),
        capacityBytes: entry.record.capacityBytes,
        deleted: true,
      },
      context,
    );
  }
}
