import { type OwnerStamp, VdcError } from "@vdc-os/core";
import type { Attachment, VolumeTransport } from "@vdc-os/core/storage/v1";
import type { BlockClient } from "./storage-instance.ts";

const blockBytes = 4096;

/** Blocks by number; one that is absent reads from the parent, or as zeroes. */
export type MemoryBlocks = Map<number, Uint8Array>;

/** A volume of a {@link MemoryPool}. */
export interface MemoryVolume {
  readonly volumeId: string;
  name: string;
  /** What was asked for, as text. */
  readonly request: string;
  capacityBytes: number;
  readonly owner: OwnerStamp | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  readonly blocks: MemoryBlocks;
  parentVolumeId: string | undefined;
  /** Whether it shares by facet `clones`, and not by `layering`. */
  readonly isClone: boolean;
  tombstoned: boolean;
  highWater: number;
  attachment: Attachment | undefined;
}

/** What a {@link MemoryStorageProvider} keeps: it outlives the provider, as a disk does. */
export interface MemoryPool {
  readonly volumes: Map<string, MemoryVolume>;
  readonly files: Map<string, { readonly capacityBytes: number; readonly blocks: MemoryBlocks }>;
  nextId: number;
}

/** An empty pool. */
export function createMemoryPool(): MemoryPool {
  return { volumes: new Map(), files: new Map(), nextId: 1 };
}

/** A block of a volume, through its parents. */
export function readBlock(pool: MemoryPool, volume: MemoryVolume, block: number): Uint8Array {
  for (let at: MemoryVolume | undefined = volume; at !== undefined; ) {
    // What is beyond a parent's end never shows through.
    if (block * blockBytes >= at.capacityBytes) break;
    const data = at.blocks.get(block);
    if (data !== undefined) return data;
    at = at.parentVolumeId === undefined ? undefined : pool.volumes.get(at.parentVolumeId);
  }
  return new Uint8Array(blockBytes);
}

/** All blocks of a volume that are not zero, through its parents. */
export function contentOf(pool: MemoryPool, volume: MemoryVolume): MemoryBlocks {
  const content: MemoryBlocks = new Map();
  for (let block = 0; block * blockBytes < volume.capacityBytes; block++) {
    const data = readBlock(pool, volume, block);
    if (data.some((byte) => byte !== 0)) content.set(block, data);
  }
  return content;
}

/** Connects to an attached volume. Each request is held against the volume's present attachment: that is the fence. */
export async function openMemoryTransport(pool: MemoryPool, transport: VolumeTransport): Promise<BlockClient> {
  const [volumeId = "", generation = ""] = transport.kind === "nbd-unix" ? transport.exportName.split("/") : [];
  const owned = (write: boolean): MemoryVolume => {
    const volume = pool.volumes.get(volumeId);
    const { attachment } = volume ?? {};
    if (volume === undefined || attachment?.generation !== Number(generation)) {
      throw new VdcError("PERMISSION_DENIED", `generation ${generation} of '${volumeId}' is no owner`);
    }
    if (write && attachment.access === "readOnly") throw new VdcError("PERMISSION_DENIED", "attached read-only");
    return volume;
  };
  owned(false);
  return {
    async read(offset, length) {
      const volume = owned(false);
      const data = new Uint8Array(length);
      for (let done = 0; done < length; done += blockBytes) {
        data.set(readBlock(pool, volume, (offset + done) / blockBytes), done);
      }
      return data;
    },
    async write(offset, data) {
      const volume = owned(true);
      for (let done = 0; done < data.length; done += blockBytes) {
        volume.blocks.set((offset + done) / blockBytes, data.slice(done, done + blockBytes));
      }
    },
    flush: async () => void owned(true),
    close: async () => {},
  };
}
