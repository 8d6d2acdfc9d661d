import {
  type Description,
  type JsonObject,
  type OperationContext,
  type OwnerStamp,
  type Page,
  refuseWhenOver,
  VdcError,
} from "@vdc-os/core";
import type {
  Attachment,
  AttachVolume,
  CreateVolume,
  PoolCapacity,
  StorageFacets,
  StorageProvider,
  Volume,
  VolumeHealth,
} from "@vdc-os/core/storage/v1";
import { memoryDataServices } from "./memory-data-services.ts";
import { memoryFacets } from "./memory-facets.ts";
import { allocatedOf, createMemoryPool, type MemoryPool, type MemoryVolume } from "./memory-pool.ts";
import { memorySnapshots } from "./memory-snapshots.ts";

/** What a volume of the reference is made with. */
export interface NewMemoryVolume {
  readonly name: string;
  readonly capacityBytes: number;
  readonly owner?: OwnerStamp | undefined;
  readonly accessibleHosts?: readonly string[] | undefined;
  readonly parentVolumeId?: string | undefined;
  readonly parentSnapshotId?: string | undefined;
  readonly isClone?: boolean;
  /** What else was asked for: a repeated create must ask for the same. */
  readonly request?: unknown;
}

/** The facets that the reference has. */
export type MemoryFacets = Required<Omit<StorageFacets, "epochs" | "replicate">>;

/** The limits that the reference states, by facet. */
const facetLimits: Readonly<Record<keyof MemoryFacets, JsonObject>> = {
  resize: { online: true, shrink: true },
  snapshots: { maxSnapshots: 0, restoreOnlyLatest: false },
  groupSnapshots: {},
  layering: { maxDepth: 0, parents: ["volume", "snapshot"] },
  clones: { kinds: ["linked", "full"], maxDepth: 0, maxChildren: 0, sources: ["volume", "snapshot"] },
  lineage: {},
  changedBlocks: { granularityBytes: 4096, survivesCrash: true },
  discard: {},
  qos: {},
  encryption: { ciphers: ["none-at-all"], onlineRotation: true },
  importExport: { importFormats: ["raw"], exportFormats: ["raw"] },
  migrate: { targetPools: ["memory-2"] },
};

/** How far the reference's virtual sizes may exceed its total. */
const maxOverSubscription = 4;

/** The smallest storage provider that keeps the whole contract, in memory. Not for use: a reference to read and to test the suite with. */
export class MemoryStorageProvider implements StorageProvider {
  readonly pool: MemoryPool;
  readonly facets: MemoryFacets;

  constructor(pool: MemoryPool = createMemoryPool()) {
    this.pool = pool;
    this.facets = { ...memoryFacets(this), ...memorySnapshots(this), ...memoryDataServices(this) };
  }

  async describe(): Promise<Description> {
    const evidence = "it is in memory";
    return {
      implementation: { name: "memory-storage", version: "1.0.0", simulated: true },
      facets: Object.fromEntries(
        Object.entries(facetLimits).map(([name, limits]) => [name, { status: "available", limits, evidence } as const]),
      ),
      attributes: {
        fencing: "enforced",
        pool: "memory",
        media: "memory",
        thin: true,
        outOfSpace: "report",
        ...(this.pool.accessibleHosts === undefined ? {} : { accessibleHosts: this.pool.accessibleHosts }),
      },
    };
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    const { name, capacityBytes, owner, parameters = {}, accessibleHosts } = input;
    refuseWhenOver(context);
    const [unknown] = Object.keys(parameters);
    if (unknown !== undefined) throw new VdcError("INVALID_ARGUMENT", `parameter '${unknown}' is not known`);
    const blind = accessibleHosts?.filter((host) => this.pool.accessibleHosts?.includes(host) === false) ?? [];
    if (blind.length > 0)
      throw new VdcError("RESOURCE_EXHAUSTED", `the pool is not reached by '${blind.join("', '")}'`);
    return this.view(this.add({ name, capacityBytes, owner, accessibleHosts }));
  }

  async deleteVolume({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const volume = this.pool.volumes.get(volumeId);
    if (volume === undefined || volume.tombstoned) return;
    if (volume.attachment !== undefined) {
      throw new VdcError("FAILED_PRECONDITION", `'${volume.name}' is attached to host '${volume.attachment.host}'`);
    }
    const snapshots = [...this.pool.snapshots.values()].filter((snapshot) => snapshot.volumeId === volumeId);
    if (snapshots.length > 0) {
      throw new VdcError("FAILED_PRECONDITION", `'${volume.name}' has snapshots`, {
        blockers: snapshots.map(({ name }) => ({ kind: "Snapshot", name })),
      });
    }
    const children = this.childrenOf(volumeId);
    const overlays = children.filter(({ isClone }) => !isClone);
    if (overlays.length > 0) {
      throw new VdcError("FAILED_PRECONDITION", `'${volume.name}' has overlays`, {
        blockers: overlays.map(({ name }) => ({ kind: "volume", name })),
      });
    }
    if (children.length > 0) volume.tombstoned = true;
    else this.#remove(volume);
  }

  async getVolume({ volumeId }: { readonly volumeId: string }): Promise<Volume> {
    return this.view(this.get(volumeId));
  }

  async listVolumes(input: Parameters<StorageProvider["listVolumes"]>[0]): Promise<Page<Volume>> {
    const { limit = 1000, pageToken, name, ownerDatacenter } = input;
    if (pageToken !== undefined && !pageToken.startsWith("after ")) throw new VdcError("ABORTED", "no such token");
    const after = pageToken?.slice("after ".length) ?? "";
    const found = this.#live()
      .filter((volume) => volume.name > after && (name === undefined || volume.name === name))
      .filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const items = found.slice(0, limit).map((volume) => this.view(volume));
    return found.length > limit ? { items, nextPageToken: `after ${items.at(-1)?.name}` } : { items };
  }

  async capacity({ pool }: { readonly pool?: string }): Promise<PoolCapacity> {
    if (pool !== undefined && pool !== "memory") throw new VdcError("NOT_FOUND", `there is no pool '${pool}'`);
    const { totalBytes } = this.pool;
    const allocatedBytes = allocatedOf(this.pool);
    const value = allocatedBytes / totalBytes;
    const alarm = { threshold: 1, value, message: "writes that need new space fail with ENOSPC" };
    return {
      totalBytes,
      freeBytes: totalBytes - allocatedBytes,
      allocatedBytes,
      provisionedBytes: this.#provisionedBytes(),
      reservedBytes: 0,
      maxOverSubscription,
      alarms: allocatedBytes < totalBytes ? [] : [{ kind: "outOfSpace", ...alarm }],
    };
  }

  async attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    refuseWhenOver(context);
    const { volumeId, host, access, generation } = input;
    const volume = this.get(volumeId);
    const present = volume.attachment;
    if (present?.generation === generation) {
      if (present.host === host && present.access === access) return present;
      throw new VdcError("FAILED_PRECONDITION", `'${volume.name}' is attached otherwise in generation ${generation}`);
    }
    if (generation <= volume.highWater) {
      throw new VdcError("FAILED_PRECONDITION", `generation ${generation} is fenced`, { reason: "VDC_FENCED" });
    }
    if (volume.accessibleHosts?.includes(host) === false) {
      throw new VdcError("FAILED_PRECONDITION", `'${volume.name}' can't be reached from host '${host}'`);
    }
    if (access === "readWrite" && this.childrenOf(volumeId).length > 0) {
      throw new VdcError("FAILED_PRECONDITION", `'${volume.name}' has children`);
    }
    volume.highWater = generation;
    volume.attachment = {
      volumeId,
      host,
      access,
      generation,
      transport: { kind: "nbd-unix", path: "/memory", exportName: `${volumeId}/${generation}` },
      fencing: "enforced",
      loses: {},
    };
    return volume.attachment;
  }

  async detachVolume(input: Parameters<StorageProvider["detachVolume"]>[0], context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const volume = this.pool.volumes.get(input.volumeId);
    const { attachment } = volume ?? {};
    if (volume === undefined || attachment?.generation !== input.generation || attachment.host !== input.host) return;
    volume.attachment = undefined;
  }

  async revokeAttachment(
    input: Parameters<StorageProvider["revokeAttachment"]>[0],
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const volume = this.get(input.volumeId);
    volume.highWater = Math.max(volume.highWater, input.generation);
    if (volume.attachment !== undefined && volume.attachment.generation <= input.generation) {
      volume.attachment = undefined;
    }
  }

  async getAttachment({ volumeId }: { readonly volumeId: string }): Promise<{ readonly attachment?: Attachment }> {
    const { attachment } = this.get(volumeId);
    return attachment === undefined ? {} : { attachment };
  }

  async health({ volumeId }: { readonly volumeId?: string }): Promise<VolumeHealth> {
    if (volumeId !== undefined) this.get(volumeId);
    if (allocatedOf(this.pool) < this.pool.totalBytes) return { condition: "healthy", message: "it is in memory" };
    const message = "the pool is full";
    return { condition: "degraded", message, reasons: [{ code: "outOfSpace", message }] };
  }

  /** A volume that was not deleted. */
  get(volumeId: string): MemoryVolume {
    const volume = this.pool.volumes.get(volumeId);
    if (volume !== undefined && !volume.tombstoned) return volume;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
  }

  /** Makes a volume, or returns the one of that name and request. */
  add(input: NewMemoryVolume): MemoryVolume {
    const { name, capacityBytes, owner, parentVolumeId, parentSnapshotId, isClone = false } = input;
    const asked = input.accessibleHosts ?? null;
    const request = JSON.stringify([
      capacityBytes,
      owner,
      asked,
      parentVolumeId,
      parentSnapshotId,
      isClone,
      input.request,
    ]);
    const present = this.findByName(name);
    if (present !== undefined) {
      if (present.request === request) return present;
      throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by another volume`);
    }
    if (capacityBytes <= 0) throw new VdcError("OUT_OF_RANGE", "a volume has at least one byte");
    this.mustFit(capacityBytes);
    const volume: MemoryVolume = {
      volumeId: `volume-${this.pool.nextId++}`,
      name,
      request,
      capacityBytes,
      owner,
      accessibleHosts: input.accessibleHosts ?? this.pool.accessibleHosts,
      parameters: {},
      blocks: new Map(),
      parentVolumeId,
      parentSnapshotId,
      isClone,
      tombstoned: false,
      highWater: 0,
      attachment: undefined,
      checkpoints: new Map(),
      qos: { iops: 0, bytesPerSecond: 0 },
      keyRef: "key-1",
      poolName: "memory",
      migration: undefined,
    };
    this.pool.volumes.set(volume.volumeId, volume);
    return volume;
  }

  /** Throws when this much more can't be promised. */
  mustFit(bytes: number): void {
    if (this.#provisionedBytes() + bytes <= this.pool.totalBytes * maxOverSubscription) return;
    throw new VdcError("RESOURCE_EXHAUSTED", `${bytes} bytes more are too much`);
  }

  findByName(name: string): MemoryVolume | undefined {
    return this.#live().find((volume) => volume.name === name);
  }

  childrenOf(volumeId: string): readonly MemoryVolume[] {
    return [...this.pool.volumes.values()].filter(({ parentVolumeId }) => parentVolumeId === volumeId);
  }

  /** Removes a tombstone that has no children any more. */
  collect(volumeId: string | undefined): void {
    const volume = volumeId === undefined ? undefined : this.pool.volumes.get(volumeId);
    if (volume?.tombstoned && this.childrenOf(volume.volumeId).length === 0) this.#remove(volume);
  }

  view(volume: MemoryVolume): Volume {
    const { volumeId, name, capacityBytes, owner, parameters, blocks, parentVolumeId, parentSnapshotId } = volume;
    const { accessibleHosts } = volume;
    const allocatedBytes = blocks.size * 4096;
    return {
      volumeId,
      name,
      capacityBytes,
      allocatedBytes,
      exclusiveBytes: this.childrenOf(volumeId).length > 0 ? 0 : allocatedBytes,
      createdAt: 0,
      ...(owner === undefined ? {} : { owner }),
      ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
      ...(parentVolumeId === undefined ? {} : { parent: { kind: "volume", volumeId: parentVolumeId } }),
      ...(parentSnapshotId === undefined ? {} : { parent: { kind: "snapshot", snapshotId: parentSnapshotId } }),
      parameters,
    };
  }

  #live(): MemoryVolume[] {
    return [...this.pool.volumes.values()].filter(({ tombstoned }) => !tombstoned);
  }

  #provisionedBytes(): number {
    return [...this.pool.volumes.values()].reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
  }

  #remove(volume: MemoryVolume): void {
    this.pool.volumes.delete(volume.volumeId);
    this.collect(volume.parentVolumeId);
  }
}
