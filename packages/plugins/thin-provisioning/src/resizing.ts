import { type OperationContext, VdcError } from "@vdc-os/core";
import type { ResizeFacet, Volume } from "@vdc-os/core/storage/v1";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { childrenOf } from "./attachments.ts";
import { ChangeBitmap } from "./change-bitmap.ts";
import { assertVolumeSize } from "./create-request.ts";
import { assertAttachmentSettled, servedWriter } from "./layer-changes.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import { volumeOf } from "./volume-of.ts";

/** Facet `resize`: grows volumes, also while they are served and written. */
export class Resizing implements ResizeFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async resizeVolume(
    { volumeId, capacityBytes }: Parameters<ResizeFacet["resizeVolume"]>[0],
    context: OperationContext,
  ): Promise<Volume> {
    const pool = this.#pool;
    const { catalog } = pool;
    const entry = catalog.get(volumeId);
    assertVolumeSize(capacityBytes);
    assertNotCancelled(context);
    await entry.change(["content", "tracking"], "resize", async () => {
      assertAttachmentSettled(entry);
      await pool.layers.settle(entry, context);
      const { record } = entry;
      const { attachment, name } = record;
      if (record.capacityBytes === capacityBytes) return;
      if (capacityBytes < record.capacityBytes) {
        throw new VdcError(
          "OUT_OF_RANGE",
          `volume '${name}' has ${record.capacityBytes} bytes and can't be made smaller`,
          {
            details: { capacityBytes, presentBytes: record.capacityBytes },
          },
        );
      }
      if (attachment !== undefined && servedWriter(record) === undefined) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${name}' is attached ${attachment.access}, ${attachment.mode}, to host '${attachment.host}': it grows while detached, or served for writing`,
          { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
        );
      }
      if (entry.isParent) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' has overlays, and must not change`, {
          reason: "VDC_VOLUME_IS_PARENT",
          blockers: childrenOf(entry, catalog),
        });
      }
      pool.assertCanPromise(capacityBytes - record.capacityBytes);
      await catalog.update(entry, (old) => ({ ...old, changing: true }));
      let reachedBytes = record.capacityBytes;
      try {
        reachedBytes = await this.#grow(entry, capacityBytes, context);
      } catch (error) {
        throw storageFailure(error, `growing volume '${name}'`);
      } finally {
        await catalog.update(entry, (old) => ({ ...old, changing: undefined, capacityBytes: reachedBytes }));
      }
    });
    return volumeOf(pool, entry);
  }

  /** Returns the size that it has then. */
  async #grow(entry: VolumeEntry, capacityBytes: number, context: OperationContext): Promise<number> {
    const { images, layout, processes } = this.#pool;
    const { volumeId, record } = entry;
    const writer = servedWriter(record);
    if (writer !== undefined) {
      const answer = await processes.request(writer.host, "resize", { ...writer.owner, capacityBytes }, context);
      return (answer as { readonly capacityBytes: number }).capacityBytes;
    }
    for (const { checkpoint } of record.checkpoints ?? [])
      growBitmap(layout.changes(volumeId, checkpoint), capacityBytes);
    await using image = await images.open(entry, {}, context);
    await image.resize(capacityBytes);
    return image.sizeBytes;
  }
}

/** What is added to a volume counts as changed. A bitmap that is damaged says so itself. */
function growBitmap(path: string, capacityBytes: number): void {
  let bitmap: ChangeBitmap;
  try {
    bitmap = ChangeBitmap.open(path, { write: true });
  } catch {
    return;
  }
  try {
    bitmap.grow(capacityBytes);
  } finally {
    bitmap.close();
  }
}
