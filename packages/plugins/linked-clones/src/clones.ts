import { type OperationContext, VdcError } from "@vdc-os/core";
import type { CloneResult, ClonesFacet, CloneVolume, Volume } from "@vdc-os/core/storage/v1";
import { layersSnapshots } from "./base-storage.ts";
import { toldToCaller } from "./callers-words.ts";
import { chainOf, sharedBytesOf } from "./clone-chain.ts";
import type { CloneEngine } from "./clone-engine.ts";
import type { CloneRecord, CloneRequest, ParentLink } from "./clone-record.ts";
import type { KnownVolume } from "./clone-services.ts";
import type { DepthPolicy } from "./depth-policy.ts";
import { type Condition, putRecord } from "./record-store.ts";
import { snapshotLock } from "./volume-locks.ts";
import { volumeView } from "./volume-view.ts";

/** What an overlay is to be made of. */
interface Parent extends ParentLink {
  readonly volume: CloneRecord;
  /** What must still hold when the clone is begun. */
  readonly condition: Condition;
}

/**
 * Facet `clones`. A linked clone is an overlay: one metadata write, however large the source and however many clones it has. One of a volume itself
 * makes that read-only until its last is gone or flattened; one of a volume that is being written is made of a hidden snapshot, and
 * the volume goes on. A full clone is an overlay that is copied up at once.
 */
export class Clones implements ClonesFacet {
  readonly #engine: CloneEngine;
  readonly #depth: DepthPolicy;

  constructor(engine: CloneEngine, depth: DepthPolicy) {
    this.#engine = engine;
    this.#depth = depth;
  }

  async cloneVolume(input: CloneVolume, context: OperationContext): Promise<CloneResult> {
    const { source, want, capacityBytes, owner, name } = input;
    const request: CloneRequest = {
      kind: "clone",
      ...(source.kind === "volume" ? { sourceVolumeId: source.volumeId } : { sourceSnapshotId: source.snapshotId }),
      want,
      capacityBytes,
      owner,
    };
    const present = await this.#engine.present(name, request, context);
    if (present !== undefined) return this.#resultOf(present, context);
    const { facets } = await this.#engine.services.base.describe(context);
    if (facets.layering?.status !== "available" && facets.clones?.status === "available") {
      return this.#cloneBelow(input, request, context);
    }
    if (source.kind === "snapshot") return this.#ofSnapshot(source.snapshotId, { input, request }, context);
    return this.#ofVolume(source.volumeId, { input, request }, context);
  }

  async #ofVolume(volumeId: string, asked: Asked, context: OperationContext): Promise<CloneResult> {
    const { base, catalog, locks } = this.#engine.services;
    return locks.pinned(volumeId, async () => {
      const { value: volume, revision } = await catalog.get(volumeId, context);
      const attachment = await base.attachment(volumeId, context);
      if (attachment?.access !== "readWrite") {
        const condition = { key: catalog.volumeKey(volumeId), revision };
        return this.#clone({ volume, condition, parentVolumeId: volumeId }, asked, context);
      }
      if (!layersSnapshots(await base.describe(context))) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${volume.name}' is attached for writing to host '${attachment.host}', and provider '${base.handle.name}' underneath makes no overlays of snapshots: it is cloned while detached, or attached read-only`,
          { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
        );
      }
      return toldToCaller(
        this.#engine.moments.withMoment(volumeId, ({ snapshotId }) =>
          this.#cloneOfSnapshot({ volume, snapshotId }, asked, context),
        ),
      );
    });
  }

  async #ofSnapshot(snapshotId: string, asked: Asked, context: OperationContext): Promise<CloneResult> {
    const { base, catalog, snapshots, locks } = this.#engine.services;
    const { volumeId } = (await snapshots.get(snapshotId, context)).value;
    if (!layersSnapshots(await base.describe(context))) {
      throw new VdcError(
        "UNIMPLEMENTED",
        `provider '${base.handle.name}' underneath makes no overlays of snapshots: clone a volume`,
        { reason: "VDC_FACET_UNAVAILABLE" },
      );
    }
    return locks.pinned(snapshotLock(snapshotId), async () => {
      // It may have been deleted since.
      await snapshots.get(snapshotId, context);
      const { value: volume } = await catalog.get(volumeId, context);
      return this.#cloneOfSnapshot({ volume, snapshotId }, asked, context);
    });
  }

  async #cloneOfSnapshot(
    { volume, snapshotId }: { readonly volume: CloneRecord; readonly snapshotId: string },
    asked: Asked,
    context: OperationContext,
  ): Promise<CloneResult> {
    const { snapshots } = this.#engine.services;
    const revision = (await snapshots.find(snapshotId, context))?.revision ?? 0;
    const condition = { key: snapshots.snapshotKey(snapshotId), revision };
    const parentVolumeId = volume.volumeId;
    return this.#clone({ volume, condition, parentVolumeId, parentSnapshotId: snapshotId }, asked, context);
  }

  async #clone(parent: Parent, { input, request }: Asked, context: OperationContext): Promise<CloneResult> {
    const { base, catalog, operation } = this.#engine.services;
    const { name, want, capacityBytes } = input;
    const { volume, condition, parentVolumeId, parentSnapshotId } = parent;
    const { operations: layering, limits } = await base.facetWithLimits("layering", context);
    const parents = await chainOf(catalog, volume, context);
    assertDepth(volume, parents.length + 1, Number(limits.maxDepth ?? 0));
    const linked = want !== "full";
    const deep = linked && this.#depth.isTooDeep(parents.length + 1);
    const made = await this.#engine.create(
      {
        name,
        request,
        conditions: [condition],
        parent: linked ? { parentVolumeId, parentSnapshotId } : {},
        also: (volumeId) => (deep ? [putRecord(catalog.deepKey(volumeId), {})] : []),
        make: async (baseName) => {
          const overlay = await toldToCaller(
            layering.createOverlay(
              {
                name: baseName,
                parent:
                  parentSnapshotId === undefined
                    ? { kind: "volume", volumeId: volume.volumeId }
                    : { kind: "snapshot", snapshotId: parentSnapshotId },
                ...(capacityBytes === undefined ? {} : { capacityBytes }),
              },
              operation(),
            ),
          );
          return { volume: linked ? overlay : await this.#copied(overlay, layering, context) };
        },
      },
      context,
    );
    if (deep) this.#depth.flattenSoon(made.record.volumeId);
    if (!linked) return this.#resultOf(made, context);
    const sharedBytes = await sharedBytesOf(base, { parents, capacityBytes: made.volume.capacityBytes }, context);
    return { volume: volumeView(made), kind: "linked", sharedBytes, depth: parents.length + 1 };
  }

  async #copied(
    overlay: Volume,
    layering: { copyUp(input: { readonly volumeId: string }, context: OperationContext): Promise<Volume> },
    context: OperationContext,
  ): Promise<Volume> {
    return toldToCaller(layering.copyUp({ volumeId: overlay.volumeId }, context));
  }

  /** A clone of the provider underneath, which keeps count of what shares blocks there by itself. */
  async #cloneBelow(input: CloneVolume, request: CloneRequest, context: OperationContext): Promise<CloneResult> {
    const { base, catalog, snapshots, locks, operation } = this.#engine.services;
    const { source } = input;
    const cloning = await base.facet("clones", context);
    const lock = source.kind === "volume" ? source.volumeId : snapshotLock(source.snapshotId);
    return locks.pinned(lock, async () => {
      if (source.kind === "volume") await catalog.get(source.volumeId, context);
      else await snapshots.get(source.snapshotId, context);
      const made = await this.#engine.create(
        {
          name: input.name,
          request,
          make: async (baseName) => {
            const { owner: _, ...unstamped } = input;
            const clone = cloning.cloneVolume({ ...unstamped, name: baseName }, operation());
            const { volume, kind, sharedBytes, depth } = await toldToCaller(clone);
            return { volume, madeBelow: { kind, sharedBytes, depth } };
          },
        },
        context,
      );
      return this.#resultOf(made, context);
    });
  }

  async #resultOf(made: KnownVolume, context: OperationContext): Promise<CloneResult> {
    const { base, catalog } = this.#engine.services;
    const { record, volume } = made;
    if (record.madeBelow !== undefined) return { volume: volumeView(made), ...record.madeBelow };
    const [, ...parents] = await chainOf(catalog, record, context);
    const { capacityBytes } = volume;
    const sharedBytes = await sharedBytesOf(base, { parents, capacityBytes }, context);
    const kind = record.parentVolumeId === undefined ? "full" : "linked";
    return { volume: volumeView(made), kind, sharedBytes, depth: parents.length + 1 };
  }
}

/** A call, and what a repeat of it is held against. */
interface Asked {
  readonly input: CloneVolume;
  readonly request: CloneRequest;
}

function assertDepth({ name }: CloneRecord, depth: number, maxDepth: number): void {
  if (maxDepth === 0 || depth <= maxDepth) return;
  throw new VdcError(
    "FAILED_PRECONDITION",
    `a clone of volume '${name}' would be ${depth} deep, and the provider underneath reads through ${maxDepth} at most: flatten '${name}' first`,
    { reason: "VDC_CHAIN_TOO_DEEP", details: { depth, maxDepth } },
  );
}
