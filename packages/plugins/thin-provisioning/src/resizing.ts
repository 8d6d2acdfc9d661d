import { type OperationContext, VdcError } from "@vdc-os/core";
import type { ResizeFacet, Volume } from "@vdc-os/core/storage/v1";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { childrenOf } from "./attachments.ts";
import { assertVolumeSize } from "./create-request.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import { volumeOf } from "./volume-of.ts";

/** Facet `resize`: grows volumes that are not attached. An NBD export has one size for as long as its client is connected. */
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
    const { catalog, layout } = pool;
    const entry = catalog.get(volumeId);
    assertVolumeSize(capacityBytes);
    assertNotCancelled(context);
    await entry.change(["content", "attachment"], "resize", async () => {
      const { record } = entry;
      if (record.capacityBytes === capacityBytes) return;
      if (capacityBytes < record.capacityBytes) {
        throw new VdcError(
          "OUT_OF_RANGE",
          `volume '${record.name}' has ${record.capacityBytes} bytes and can't be made smaller`,
          { details: { capacityBytes, presentBytes: record.capacityBytes } },
        );
      }
      if (record.attachment !== undefined) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${record.name}' is attached to host '${record.attachment.host}': it grows while detached`,
          { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: record.attachment.host }] },
        );
      }
      if (entry.isParent) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${record.name}' has overlays, and must not change`, {
          reason: "VDC_VOLUME_IS_PARENT",
          blockers: childrenOf(entry, catalog),
        });
      }
      pool.assertCanPromise(capacityBytes - record.capacityBytes);
      await catalog.update(entry, (old) => ({ ...old, changing: true }));
      let reachedBytes = record.capacityBytes;
      try {
        await using image = await Qcow2Image.open(layout.image(volumeId), {
          resolveBacking: backingFolder(layout.volumes),
        });
        await image.resize(capacityBytes);
        reachedBytes = image.sizeBytes;
      } catch (error) {
        throw storageFailure(error, `growing volume '${record.name}'`);
      } finally {
        await catalog.update(entry, (old) => ({ ...old, changing: undefined, capacityBytes: reachedBytes }));
      }
    });
    return volumeOf(pool, entry);
  }
}
