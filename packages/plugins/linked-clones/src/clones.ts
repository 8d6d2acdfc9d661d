import { type OperationContext, VdcError } from "@vdc-os/core";
import type { CloneResult, ClonesFacet, CloneVolume, Volume } from "@vdc-os/core/storage/v1";
import type { CloneEngine, KnownVolume } from "./clone-engine.ts";
import type { CloneRequest } from "./clone-record.ts";
import { chainOf } from "./lineage.ts";
import { volumeView } from "./volume-view.ts";

/**
 * Facet `clones`. A linked clone is an overlay: one metadata write, however large the source and however many clones it has. The
 * source becomes read-only until its last linked clone is gone or flattened. A full clone is an overlay that is copied up at once.
 */
export class Clones implements ClonesFacet {
  readonly #engine: CloneEngine;

  constructor(engine: CloneEngine) {
    this.#engine = engine;
  }

  async cloneVolume(input: CloneVolume, context: OperationContext): Promise<CloneResult> {
    const { base, locks } = this.#engine;
    const { name, source, want, capacityBytes, owner } = input;
    if (source.kind === "snapshot") {
      throw new VdcError("UNIMPLEMENTED", "there are no snapshots here: clone a volume", {
        reason: "VDC_FACET_UNAVAILABLE",
      });
    }
    const sourceVolumeId = source.volumeId;
    const request: CloneRequest = { kind: "clone", sourceVolumeId, want, capacityBytes, owner };
    const present = await this.#engine.present(name, request, context);
    if (present !== undefined) return this.#resultOf(present, context);
    const layering = await base.facet("layering", context);
    return locks.pinned(sourceVolumeId, async () => {
      const parent = await this.#engine.catalog.get(sourceVolumeId, context);
      const attachment = await base.attachment(sourceVolumeId, context);
      if (attachment?.access === "readWrite") {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${parent.value.name}' is attached for writing to host '${attachment.host}': without snapshots it is cloned while detached, or attached read-only`,
          { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
        );
      }
      const linked = want !== "full";
      const made = await this.#engine.create(
        {
          name,
          request,
          conditions: [{ key: this.#engine.catalog.volumeKey(sourceVolumeId), revision: parent.revision }],
          parentVolumeId: linked ? sourceVolumeId : undefined,
          make: async (baseName): Promise<Volume> => {
            const size = capacityBytes === undefined ? {} : { capacityBytes };
            const overlay = await layering.createOverlay(
              { name: baseName, parent: { kind: "volume", volumeId: sourceVolumeId }, ...size },
              this.#engine.steadily(),
            );
            return linked ? overlay : layering.copyUp({ volumeId: overlay.volumeId }, context);
          },
        },
        context,
      );
      return this.#resultOf(made, context);
    });
  }

  async #resultOf(made: KnownVolume, context: OperationContext): Promise<CloneResult> {
    const { base, catalog } = this.#engine;
    const chain = await chainOf(catalog, made.record, context);
    let sharedBytes = 0;
    for (const { volumeId } of chain.slice(1)) sharedBytes += (await base.find(volumeId, context))?.allocatedBytes ?? 0;
    const kind = made.record.parentVolumeId === undefined ? "full" : "linked";
    return { volume: volumeView(made), kind, sharedBytes, depth: chain.length };
  }
}
