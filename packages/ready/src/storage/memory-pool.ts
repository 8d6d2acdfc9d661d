import type { OwnerStamp } from "@vdc-os/core";
import type { Attachment, QosPolicy, ReplicationStatus } from "@vdc-os/core/storage/v1";

/** The unit in which the reference keeps content, in bytes. */
export const memoryBlockBytes = 4096;

/** Blocks by number; one that is absent reads from the parent, or as zeroes. */
export type MemoryBlocks = Map<number, Uint8Array>;

/** A moment since which changes of a volume are tracked. */
export interface MemoryCheckpoint {
  readonly checkpoint: string;
  readonly name: string;
  readonly dirty: Set<number>;
  intact: boolean;
}

/** A volume of a {@link MemoryPool}. */
export interface MemoryVolume {
  readonly volumeId: string;
  name: string;
  /** What was asked for, as text. */
  readonly request: string;
  capacityBytes: number;
  readonly owner: OwnerStamp | undefined;
  /** The hosts that it was made for, or that its parent was; all that reach the pool when there are none. */
  readonly accessibleHosts: readonly string[] | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  blocks: MemoryBlocks;
  parentVolumeId: string | undefined;
  /** The snapshot whose blocks it reads; then there is no parent volume. */
  parentSnapshotId: string | undefined;
  /** Whether it shares by facet `clones`, and not by `layering`. */
  readonly isClone: boolean;
  tombstoned: boolean;
  highWater: number;
  attachment: Attachment | undefined;
  readonly checkpoints: Map<string, MemoryCheckpoint>;
  qos: QosPolicy;
  keyRef: string;
  poolName: string;
  migration: { readonly targetPool: string; status: ReplicationStatus } | undefined;
}

/** A snapshot of a {@link MemoryPool}: a copy of the volume's content. */
export interface MemorySnapshot {
  readonly snapshotId: string;
  readonly name: string;
  readonly volumeId: string;
  readonly capacityBytes: number;
  readonly owner: OwnerStamp | undefined;
  readonly groupSnapshotId: string | undefined;
  readonly blocks: MemoryBlocks;
  readonly readingHosts: Set<string>;
}

/** A group snapshot: its members are those snapshots that bear its id. */
export interface MemoryGroup {
  readonly groupSnapshotId: string;
  readonly name: string;
  readonly request: string;
}

/** What a {@link MemoryStorageProvider} keeps: it outlives the provider, as a disk does. */
export interface MemoryPool {
  readonly volumes: Map<string, MemoryVolume>;
  readonly snapshots: Map<string, MemorySnapshot>;
  readonly groups: Map<string, MemoryGroup>;
  readonly files: Map<string, { readonly capacityBytes: number; readonly blocks: MemoryBlocks }>;
  readonly totalBytes: number;
  /** The hosts that reach it; `undefined` when all do. */
  accessibleHosts: readonly string[] | undefined;
  nextId: number;
  /** The data path's clock, in milliseconds: a request that a limit holds back moves it on. */
  nowMs: number;
}

/** An empty pool. All hosts reach it. */
export function createMemoryPool(totalBytes: number = 2 ** 30): MemoryPool {
  return {
    volumes: new Map(),
    snapshots: new Map(),
    groups: new Map(),
    files: new Map(),
    totalBytes,
    accessibleHosts: undefined,
    nextId: 1,
    nowMs: 0,
  };
}

/** A block of a volume, through its parents. */
export function readBlock(pool: MemoryPool, volume: MemoryVolume, block: number): Uint8Array {
  for (let at: MemoryVolume | undefined = volume; at !== undefined; ) {
    // What is beyond a parent's end never shows through.
    if (block * memoryBlockBytes >= at.capacityBytes) break;
    const data = at.blocks.get(block);
    if (data !== undefined) return data;
    if (at.parentSnapshotId !== undefined) {
      const found = pool.snapshots.get(at.parentSnapshotId)?.blocks.get(block);
      if (found !== undefined) return found;
    }
    at = at.parentVolumeId === undefined ? undefined : pool.volumes.get(at.parentVolumeId);
  }
  return new Uint8Array(memoryBlockBytes);
}

/** All blocks of a volume that are not zero, through its parents. */
export function contentOf(pool: MemoryPool, volume: MemoryVolume): MemoryBlocks {
  const content: MemoryBlocks = new Map();
  for (let block = 0; block * memoryBlockBytes < volume.capacityBytes; block++) {
    const data = readBlock(pool, volume, block);
    if (data.some((byte) => byte !== 0)) content.set(block, data);
  }
  return content;
}

/** What volumes and snapshots take, in bytes. */
export function allocatedOf(pool: MemoryPool): number {
  // Blocks are never changed in place, so one that a snapshot shares with its volume is the same object.
  const blocks = new Set<Uint8Array>();
  for (const volume of pool.volumes.values()) for (const data of volume.blocks.values()) blocks.add(data);
  for (const snapshot of pool.snapshots.values()) for (const data of snapshot.blocks.values()) blocks.add(data);
  return blocks.size * memoryBlockBytes;
}
