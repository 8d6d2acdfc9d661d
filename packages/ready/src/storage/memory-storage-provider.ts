import {
  type Description,
  type OperationContext,
  type OwnerStamp,
  type Page,
  toVdcError,
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
import { memoryFacets } from "./memory-facets.ts";
import { createMemoryPool, type MemoryPool, type MemoryVolume } from "./memory-pool.ts";

/** What a volume of the reference is made with. */
export interface NewMemoryVolume {
  readonly name: string;
  readonly capacityBytes: number;
  readonly owner?: OwnerStamp | undefined;
  readonly parentVolumeId?: string | undefined;
  readonly isClone?: boolean;
  /** What else was asked for: a repeated create must ask for the same. */
  readonly request?: unknown;
}

/** The facets that the reference has. */
export type MemoryFacets = Required<Pick<StorageFacets, "resize" | "layering" | "clones" | "lineage" | "importExport">>;

const totalBytes = 2 ** 30;

/** The smallest storage provider that keeps the whole contract, in memory. Not for use: a reference to read and to test the suite with. */
export class MemoryStorageProvider implements StorageProvider {
  readonly pool: MemoryPool;
  readonly facets: MemoryFacets;

  constructor(pool: MemoryPool = createMemoryPool()) {
    this.pool = pool;
    this.facets = memoryFacets(this);
  }

  async describe(): Promise<Description> {
    const evidence = "it is in memory";
    return {
      implementation: { name: "memory-storage", version: "1.0.0", simulated: true },
      facets: {
        resize: { status: "available", limits: { online: false, shrink: false }, evidence },
        layering: { status: "available", limits: { maxDepth: 0 }, evidence },
        clones: { status: "available", limits: { kinds: ["linked", "full"], maxDepth: 0, maxChildren: 0 }, evidence },
        lineage: { status: "available", limits: {}, evidence },
        importExport: { status: "available", limits: { importFormats: ["raw"], exportFormats: ["raw"] }, evidence },
      },
      attributes: { fencing: "enforced", pool: "memory" },
    };
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    const { name, capacityBytes, owner, parameters = {} } = input;
    if (context.signal.aborted) throw toVdcError(context.signal.reason);
    const [unknown] = Object.keys(parameters);
    if (unknown !== undefined) throw new VdcError("INVALID_ARGUMENT", `parameter '${unknown}' is not known`);
    return this.view(this.add({ name, capacityBytes, owner }));
  }

  async deleteVolume({ volumeId }: { readonly volumeId: string }): Promise<void> {
    const volume = this.pool.volumes.get(volumeId);
    if (volume === undefined || volume.tombstoned) return;
    if (volume.attachment !== undefined) {
      throw new VdcError("FAILED_PRECONDITION", `'${volume.name}' is attached to host '${volume.attachment.host}'`);
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
    const volumes = [...this.pool.volumes.values()];
    const allocatedBytes = volumes.reduce((sum, { blocks }) => sum + blocks.size * 4096, 0);
    return {
      totalBytes,
      freeBytes: totalBytes - allocatedBytes,
      allocatedBytes,
      provisionedBytes: volumes.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0),
      reservedBytes: 0,
      maxOverSubscription: 1,
      alarms: [],
    };
  }

  async attachVolume(input: AttachVolume): Promise<Attachment> {
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

  async detachVolume(input: Parameters<StorageProvider["detachVolume"]>[0]): Promise<void> {
    const volume = this.pool.volumes.get(input.volumeId);
    const { attachment } = volume ?? {};
    if (volume === undefined || attachment?.generation !== input.generation || attachment.host !== input.host) return;
    volume.attachment = undefined;
  }

  async revokeAttachment(input: Parameters<StorageProvider["revokeAttachment"]>[0]): Promise<void> {
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
    return { condition: "healthy", message: "it is in memory" };
  }

  /** A volume that was not deleted. */
  get(volumeId: string): MemoryVolume {
    const volume = this.pool.volumes.get(volumeId);
    if (volume !== undefined && !volume.tombstoned) return volume;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
  }

  /** Makes a volume, or returns the one of that name and request. */
  add(input: NewMemoryVolume): MemoryVolume {
    const { name, capacityBytes, owner, parentVolumeId, isClone = false } = input;
    const request = JSON.stringify([capacityBytes, owner, parentVolumeId, isClone, input.request]);
    const present = this.findByName(name);
    if (present !== undefined) {
      if (present.request === request) return present;
      throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by another volume`);
    }
    if (capacityBytes > totalBytes) throw new VdcError("RESOURCE_EXHAUSTED", `${capacityBytes} bytes are too much`);
    const volume: MemoryVolume = {
      volumeId: `volume-${this.pool.nextId++}`,
      name,
      request,
      capacityBytes,
      owner,
      parameters: {},
      blocks: new Map(),
      parentVolumeId,
      isClone,
      tombstoned: false,
      highWater: 0,
      attachment: undefined,
    };
    this.pool.volumes.set(volume.volumeId, volume);
    return volume;
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
    const { volumeId, name, capacityBytes, owner, parameters, blocks, parentVolumeId } = volume;
    const allocatedBytes = blocks.size * 4096;
    return {
      volumeId,
      name,
      capacityBytes,
      allocatedBytes,
      exclusiveBytes: this.childrenOf(volumeId).length > 0 ? 0 : allocatedBytes,
      createdAt: 0,
      ...(owner === undefined ? {} : { owner }),
      ...(parentVolumeId === undefined ? {} : { parent: { kind: "volume", volumeId: parentVolumeId } }),
      parameters,
    };
  }

  #live(): MemoryVolume[] {
    return [...this.pool.volumes.values()].filter(({ tombstoned }) => !tombstoned);
  }

  #remove(volume: MemoryVolume): void {
    this.pool.volumes.delete(volume.volumeId);
    this.collect(volume.parentVolumeId);
  }
}
