import { VdcError } from "@vdc-os/core";
import type { Lineage, VolumeSource } from "@vdc-os/core/storage/v1";
import { contentOf, type MemoryVolume } from "./memory-pool.ts";
import type { MemoryFacets, MemoryStorageProvider, NewMemoryVolume } from "./memory-storage-provider.ts";

/** Sizes, copies and images of the reference's volumes. */
export function memoryFacets(
  provider: MemoryStorageProvider,
): Pick<MemoryFacets, "resize" | "layering" | "clones" | "lineage" | "importExport"> {
  const { pool } = provider;

  const chainOf = (volume: MemoryVolume): readonly MemoryVolume[] => {
    const parent = volume.parentVolumeId === undefined ? undefined : pool.volumes.get(volume.parentVolumeId);
    return parent === undefined ? [volume] : [volume, ...chainOf(parent)];
  };

  const lineageOf = (volume: MemoryVolume): Lineage => {
    const { volumeId, name, parentVolumeId, tombstoned } = volume;
    const children = provider.childrenOf(volumeId).map((child) => child.volumeId);
    const parent = parentVolumeId === undefined ? {} : { parentVolumeId };
    return { volumeId, name, ...parent, children, depth: chainOf(volume).length, tombstoned };
  };

  const overlayOf = (
    from: VolumeSource,
    name: string,
    asked: number | undefined,
    isClone: boolean,
  ): NewMemoryVolume => {
    const parent = from.kind === "volume" ? provider.get(from.volumeId) : pool.snapshots.get(from.snapshotId);
    if (parent === undefined) throw new VdcError("NOT_FOUND", "there is no such snapshot");
    const capacityBytes = asked ?? parent.capacityBytes;
    if (capacityBytes < parent.capacityBytes) throw new VdcError("OUT_OF_RANGE", "smaller than its parent");
    if ("attachment" in parent && parent.attachment?.access === "readWrite") {
      throw new VdcError("FAILED_PRECONDITION", `'${parent.name}' is attached for writing`);
    }
    const { accessibleHosts } = "accessibleHosts" in parent ? parent : provider.get(parent.volumeId);
    const link = from.kind === "volume" ? { parentVolumeId: from.volumeId } : { parentSnapshotId: from.snapshotId };
    return { name, capacityBytes, accessibleHosts, ...link, isClone };
  };

  const copyUp = (volume: MemoryVolume): void => {
    for (const [block, data] of contentOf(pool, volume)) volume.blocks.set(block, data);
    const { parentVolumeId } = volume;
    volume.parentVolumeId = undefined;
    volume.parentSnapshotId = undefined;
    provider.collect(parentVolumeId);
  };

  const find = (volumeId: string): MemoryVolume => {
    const volume = pool.volumes.get(volumeId);
    if (volume === undefined) throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
    return volume;
  };

  return {
    resize: {
      async resizeVolume({ volumeId, capacityBytes, allowShrink = false }) {
        const volume = provider.get(volumeId);
        if (capacityBytes <= 0) throw new VdcError("OUT_OF_RANGE", "a volume has at least one byte");
        if (capacityBytes < volume.capacityBytes) {
          if (!allowShrink) throw new VdcError("OUT_OF_RANGE", "it would lose data");
          // What is cut off must not come back from a parent when it grows again.
          if (volume.parentVolumeId !== undefined || volume.parentSnapshotId !== undefined) copyUp(volume);
          for (const block of [...volume.blocks.keys()]) if (block * 4096 >= capacityBytes) volume.blocks.delete(block);
        } else provider.mustFit(capacityBytes - volume.capacityBytes);
        volume.capacityBytes = capacityBytes;
        return provider.view(volume);
      },
    },
    layering: {
      async createOverlay({ name, parent, capacityBytes, owner }) {
        return provider.view(provider.add({ ...overlayOf(parent, name, capacityBytes, false), owner }));
      },
      async copyUp({ volumeId }) {
        const volume = provider.get(volumeId);
        copyUp(volume);
        return provider.view(volume);
      },
    },
    clones: {
      async cloneVolume({ name, source, want, capacityBytes, owner }) {
        const known = provider.findByName(name) !== undefined;
        const overlay = overlayOf(source, name, capacityBytes, true);
        const volume = provider.add({ ...overlay, owner, request: want });
        const linked = want !== "full";
        if (!linked && !known) copyUp(volume);
        const depth = chainOf(volume).length;
        return { volume: provider.view(volume), kind: linked ? "linked" : "full", sharedBytes: 0, depth };
      },
    },
    lineage: {
      getLineage: async ({ volumeId }) => lineageOf(find(volumeId)),
      async lineageTree({ volumeId }) {
        const root = volumeId === undefined ? undefined : chainOf(find(volumeId)).at(-1);
        return [...pool.volumes.values()]
          .filter((volume) => root === undefined || chainOf(volume).at(-1) === root)
          .map(lineageOf)
          .sort((a, b) => a.depth - b.depth);
      },
      async flatten({ volumeId }) {
        const volume = provider.get(volumeId);
        copyUp(volume);
        return provider.view(volume);
      },
      async promote({ volumeId }) {
        const volume = provider.get(volumeId);
        copyUp(volume);
        return provider.view(volume);
      },
    },
    importExport: {
      async importVolume({ name, source, capacityBytes, owner }) {
        const file = pool.files.get(source.path);
        if (file === undefined || source.format !== "raw") throw new VdcError("INVALID_ARGUMENT", "it is no image");
        const known = provider.findByName(name) !== undefined;
        const size = capacityBytes ?? file.capacityBytes;
        const volume = provider.add({ name, capacityBytes: size, owner, request: source });
        if (!known) for (const [block, data] of file.blocks) volume.blocks.set(block, data);
        return provider.view(volume);
      },
      async exportVolume({ volumeId, destination }) {
        const volume = provider.get(volumeId);
        if (pool.files.has(destination.path)) throw new VdcError("ALREADY_EXISTS", "there is a file");
        const { capacityBytes } = volume;
        pool.files.set(destination.path, { capacityBytes, blocks: contentOf(pool, volume) });
      },
    },
  };
}
