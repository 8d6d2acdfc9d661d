import { isDeepStrictEqual } from "node:util";
import { type Description, type OperationContext, type Page, refuseWhenOver, VdcError } from "@vdc-os/core";
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
import { facetAvailability, facetsOf } from "./facets.ts";
import { type ArrayVolume, maxOverSubscription, type MemoryArray, viewOf } from "./memory-array.ts";
import { version } from "./version.ts";

type Input<Name extends Exclude<keyof StorageProvider, "facets">> = Parameters<StorageProvider[Name]>[0];

/** The vStorage API on the array. No call waits for anything while it changes a volume, so that no two changes can meet. */
export class AcmeStorage implements StorageProvider {
  readonly facets: StorageFacets;
  readonly #pool: string;
  readonly #array: MemoryArray;

  constructor(pool: string, array: MemoryArray) {
    this.facets = facetsOf(array);
    this.#pool = pool;
    this.#array = array;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-storage", version, simulated: true },
      facets: facetAvailability,
      attributes: { fencing: "enforced", pool: this.#pool, thin: true, outOfSpace: "report" },
    };
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    const { name, capacityBytes, owner } = input;
    refuseWhenOver(context);
    const [parameter] = Object.keys(input.parameters ?? {});
    if (parameter !== undefined) throw new VdcError("INVALID_ARGUMENT", `there is no parameter '${parameter}'`);
    if (capacityBytes <= 0) throw new VdcError("OUT_OF_RANGE", "a volume has at least one byte");
    const present = this.#sorted().find((volume) => volume.name === name);
    if (present !== undefined) {
      const isSame = present.capacityBytes === capacityBytes && isDeepStrictEqual(present.owner, owner);
      if (isSame) return viewOf(present);
      throw new VdcError("ALREADY_EXISTS", `there is a volume '${name}' of another spec`);
    }
    this.#array.mustFit(capacityBytes);
    const volume: ArrayVolume = {
      volumeId: context.random.uuid(),
      name,
      capacityBytes,
      createdAt: context.clock.now(),
      owner,
      blocks: new Map(),
      highest: 0,
      attachment: undefined,
    };
    this.#array.volumes.set(volume.volumeId, volume);
    return viewOf(volume);
  }

  async deleteVolume({ volumeId }: Input<"deleteVolume">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const volume = this.#array.volumes.get(volumeId);
    if (volume?.attachment !== undefined) {
      const { host } = volume.attachment;
      throw new VdcError("FAILED_PRECONDITION", `volume '${volume.name}' is attached to host '${host}'`, {
        blockers: [{ kind: "host", name: host }],
      });
    }
    this.#array.volumes.delete(volumeId);
  }

  async getVolume({ volumeId }: Input<"getVolume">): Promise<Volume> {
    return viewOf(this.#array.get(volumeId));
  }

  async listVolumes(input: Input<"listVolumes">): Promise<Page<Volume>> {
    const { limit = 100, pageToken = "after:", ownerDatacenter, name } = input;
    if (!pageToken.startsWith("after:")) throw new VdcError("ABORTED", "the page token is unknown: begin again");
    const found = this.#sorted()
      .filter((volume) => `after:${volume.name}` > pageToken)
      .filter((volume) => name === undefined || volume.name === name)
      .filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    const items = found.slice(0, limit).map(viewOf);
    return found.length > limit ? { items, nextPageToken: `after:${items.at(-1)?.name}` } : { items };
  }

  async capacity({ pool }: Input<"capacity">): Promise<PoolCapacity> {
    if (pool !== undefined && pool !== this.#pool) throw new VdcError("NOT_FOUND", `there is no pool '${pool}'`);
    const { totalBytes, allocatedBytes, provisionedBytes } = this.#array;
    const alarm = { kind: "outOfSpace", threshold: 1, value: 1, message: "writes that need space fail" } as const;
    return {
      totalBytes,
      freeBytes: totalBytes - allocatedBytes,
      allocatedBytes,
      provisionedBytes,
      reservedBytes: 0,
      maxOverSubscription,
      alarms: allocatedBytes < totalBytes ? [] : [alarm],
    };
  }

  async attachVolume(
    { volumeId, host, access, generation }: AttachVolume,
    context: OperationContext,
  ): Promise<Attachment> {
    refuseWhenOver(context);
    const volume = this.#array.get(volumeId);
    const present = volume.attachment;
    if (present?.generation === generation) {
      if (present.host === host && present.access === access) return present;
      throw new VdcError("FAILED_PRECONDITION", `volume '${volume.name}' is attached otherwise, to '${present.host}'`);
    }
    if (generation <= volume.highest) {
      const message = `volume '${volume.name}' has seen generation ${volume.highest}: ${generation} is fenced`;
      throw new VdcError("FAILED_PRECONDITION", message, { reason: "VDC_FENCED" });
    }
    const transport = this.#array.transportOf(volumeId, generation);
    volume.highest = generation;
    volume.attachment = { volumeId, host, access, generation, transport, fencing: "enforced", loses: {} };
    return volume.attachment;
  }

  async detachVolume({ volumeId, host, generation }: Input<"detachVolume">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const volume = this.#array.volumes.get(volumeId);
    if (volume?.attachment?.host !== host || volume.attachment.generation !== generation) return;
    volume.attachment = undefined;
  }

  async revokeAttachment(
    { volumeId, generation }: Input<"revokeAttachment">,
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const volume = this.#array.get(volumeId);
    volume.highest = Math.max(volume.highest, generation);
    if (volume.attachment !== undefined && volume.attachment.generation <= generation) volume.attachment = undefined;
  }

  async getAttachment({ volumeId }: Input<"getAttachment">): Promise<{ readonly attachment?: Attachment }> {
    const { attachment } = this.#array.get(volumeId);
    return attachment === undefined ? {} : { attachment };
  }

  async health({ volumeId }: Input<"health">): Promise<VolumeHealth> {
    if (volumeId !== undefined) this.#array.get(volumeId);
    const message = "the array is full";
    return this.#array.allocatedBytes < this.#array.totalBytes
      ? { condition: "healthy", message: "the array answers" }
      : { condition: "degraded", message, reasons: [{ code: "outOfSpace", message }] };
  }

  #sorted(): readonly ArrayVolume[] {
    return [...this.#array.volumes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
