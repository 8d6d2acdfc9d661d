import { VdcError } from "@vdc-os/core";
import type { Lineage } from "@vdc-os/core/storage/v1";
import { contentOf, type MemoryVolume } from "./memory-pool.ts";
import type { MemoryFacets, MemoryStorageProvider } from "./memory-storage-provider.ts";

/** The facets of the reference. */
export function memoryFacets(provider: MemoryStorageProvider): MemoryFacets {
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

  const overlayOf = (parentVolumeId: string, name: string, asked: number | undefined, isClone: boolean) => {
    const parent = provider.get(parentVolumeId);
    const capacityBytes = asked ?? parent.capacityBytes;
    if (capacityBytes < parent.capacityBytes) throw new VdcError("OUT_OF_RANGE", "smaller than its parent");
    if (parent.attachment?.access === "readWrite") {
      throw new VdcError("FAILED_PRECONDITION", `'${parent.name}' is attached for writing`);
    }
    return { name, capacityBytes, parentVolumeId, isClone };
  };

  const copyUp = (volume: MemoryVolume): void => {
    for (const [block, data] of contentOf(pool, volume)) volume.blocks.set(block, data);
    const { parentVolumeId } = volume;
    volume.parentVolumeId = undefined;
    provider.collect(parentVolumeId);
  };

  const find = (volumeId: string): MemoryVolume => {
    const volume = pool.volumes.get(volumeId);
    if (volume === undefined) throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
    return volume;
  };

  return {
    resize: {
      async resizeVolume({ volumeId, capacityBytes }) {
        const volume = provider.get(volumeId);
        if (capacityBytes < volume.capacityBytes) throw new VdcError("OUT_OF_RANGE", "it can't shrink");
        volume.capacityBytes = capacityBytes;
        return provider.view(volume);
      },
    },
    layering: {
      async createOverlay({ name, parent, capacityBytes, owner }) {
        if (parent.kind !== "volume") throw new VdcError("UNIMPLEMENTED", "overlays are made of volumes alone");
        return provider.view(provider.add({ ...overlayOf(parent.volumeId, name, capacityBytes, false), owner }));
      },
      async copyUp({ volumeId }) {
        const volume = provider.get(volumeId);
        copyUp(volume);
        return provider.view(volume);
      },
    },
    clones: {
      async cloneVolume({ name, source, want, capacityBytes, owner }) {
        if (source.kind === "snapshot") throw new VdcError("UNIMPLEMENTED", "there are no snapshots");
        const known = provider.findByName(name) !== undefined;
        const overlay = overlayOf(source.volumeId, name, capacityBytes, true);
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
