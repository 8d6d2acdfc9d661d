import { VdcError } from "@vdc-os/core";
import type { ClonesFacet, LayeringFacet, Lineage, LineageFacet, VolumeSource } from "@vdc-os/core/storage/v1";
import { SparseLayer } from "./sparse-layer.ts";
import type { VolumePool } from "./volume-pool.ts";
import type { VolumeRecord } from "./volume-record.ts";

/** The content that a clone begins with. */
interface CloneSource {
  readonly volumeId: string;
  readonly layer: SparseLayer;
  readonly capacityBytes: number;
}

function sourceOf(pool: VolumePool, source: VolumeSource): CloneSource {
  if (source.kind === "volume") {
    const { layer, capacityBytes } = pool.volume(source.volumeId);
    return { volumeId: source.volumeId, layer, capacityBytes };
  }
  const { layer, snapshot } = pool.snapshot(source.snapshotId);
  return { volumeId: snapshot.volumeId, layer, capacityBytes: snapshot.capacityBytes };
}

function mustNotBeWritten(pool: VolumePool, volumeId: string): void {
  const record = pool.volume(volumeId);
  if (record.attachment === undefined || record.attachment.access === "readOnly") return;
  const { host } = record.attachment;
  throw new VdcError(
    "FAILED_PRECONDITION",
    `volume '${record.facts.name}' is attached to host '${host}' for writing: it can't be the parent of another`,
    { blockers: [{ kind: "Host", name: host }] },
  );
}

function sizeOf(source: CloneSource, capacityBytes: number | undefined): number {
  const size = capacityBytes ?? source.capacityBytes;
  if (size >= source.capacityBytes) return size;
  throw new VdcError("OUT_OF_RANGE", `the source has ${source.capacityBytes} bytes: ${size} would lose some`);
}

/** Overlays: the bare mechanism, which counts no references. */
export function layeringFacet(pool: VolumePool): LayeringFacet {
  return {
    async createOverlay({ name, parent: source, capacityBytes, owner }) {
      const origin = { operation: "createOverlay", spec: { source, capacityBytes, owner } };
      const repeated = pool.repeated(name, origin);
      if (repeated !== undefined) return pool.toVolume(repeated);
      const parent = sourceOf(pool, source);
      if (source.kind === "volume") mustNotBeWritten(pool, source.volumeId);
      const record = pool.add(
        { name, owner },
        {
          origin,
          capacityBytes: sizeOf(parent, capacityBytes),
          layer: new SparseLayer(parent.layer, parent.capacityBytes),
          source,
          linkedTo: parent.volumeId,
          overlay: true,
        },
      );
      return pool.toVolume(record);
    },
    async copyUp({ volumeId }, context) {
      return standAlone(pool, pool.volume(volumeId), context);
    },
  };
}

/** Clones: linked ones share the source's blocks, full ones have a copy. */
export function clonesFacet(pool: VolumePool): ClonesFacet {
  return {
    async cloneVolume({ name, source: from, want, capacityBytes, owner }, context) {
      const origin = { operation: "cloneVolume", spec: { from, want, capacityBytes, owner } };
      const linked = want !== "full";
      const repeated = pool.repeated(name, origin);
      if (repeated === undefined) {
        const source = sourceOf(pool, from);
        if (linked && from.kind === "volume") mustNotBeWritten(pool, from.volumeId);
        const size = sizeOf(source, capacityBytes);
        const layer = linked ? new SparseLayer(source.layer, source.capacityBytes) : source.layer.flattened();
        pool.add(
          { name, owner },
          { origin, capacityBytes: size, layer, source: from, linkedTo: linked ? source.volumeId : undefined },
        );
        context.progress({ fraction: 1, message: linked ? "linked" : "copied" });
      }
      const record = repeated ?? (pool.byName(name) as VolumeRecord);
      const sharedBytes = record.layer.parent === undefined ? 0 : record.layer.parent.flattened().ownBytes;
      return {
        volume: pool.toVolume(record),
        kind: linked ? "linked" : "full",
        sharedBytes,
        depth: pool.depthOf(record),
      };
    },
  };
}

/** Who shares blocks with whom. */
export function lineageFacet(pool: VolumePool): LineageFacet {
  const lineageOf = (record: VolumeRecord): Lineage => {
    const { volumeId, name } = record.facts;
    return {
      volumeId,
      name,
      ...(record.linkedTo === undefined ? {} : { parentVolumeId: record.linkedTo }),
      children: pool.childrenOf(volumeId).map(({ facts }) => facts.volumeId),
      depth: pool.depthOf(record),
      tombstoned: record.tombstoned,
    };
  };
  const withTombstones = (volumeId: string): VolumeRecord => pool.volumes.get(volumeId) ?? pool.volume(volumeId);
  const subtree = (record: VolumeRecord): readonly Lineage[] => [
    lineageOf(record),
    ...pool.childrenOf(record.facts.volumeId).flatMap(subtree),
  ];
  return {
    getLineage: async ({ volumeId }) => lineageOf(withTombstones(volumeId)),
    async lineageTree({ volumeId }) {
      if (volumeId === undefined) {
        return [...pool.volumes.values()].filter(({ linkedTo }) => linkedTo === undefined).flatMap(subtree);
      }
      let root = withTombstones(volumeId);
      while (root.linkedTo !== undefined) root = withTombstones(root.linkedTo);
      return subtree(root);
    },
    flatten: async ({ volumeId }, context) => standAlone(pool, pool.volume(volumeId), context),
    promote: async ({ volumeId }, context) => standAlone(pool, pool.volume(volumeId), context),
  };
}

function standAlone(
  pool: VolumePool,
  record: VolumeRecord,
  context: { progress(update: { readonly fraction: number }): void },
): ReturnType<VolumePool["toVolume"]> {
  if (record.linkedTo !== undefined) pool.flatten(record);
  context.progress({ fraction: 1 });
  return pool.toVolume(record);
}
