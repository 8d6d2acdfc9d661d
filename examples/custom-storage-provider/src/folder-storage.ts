import { isDeepStrictEqual } from "node:util";
import { type Description, type OperationContext, type Page, refuseWhenOver, toVdcError, VdcError } from "@vdc-os/core";
import type * as vstorage from "@vdc-os/core/storage/v1";
import { VolumeFolder, type VolumeRecord } from "./volume-folder.ts";

type Input<Name extends Exclude<keyof vstorage.StorageProvider, "facets">> = Parameters<
  vstorage.StorageProvider[Name]
>[0];

/** Options of {@link FolderStorage}. */
export interface FolderStorageOptions {
  /** The pool's name. */
  readonly name: string;
  readonly directory: string;
  /** What volumes may be promised in all, in bytes. */
  readonly capacityBytes: number;
}

/**
 * The vStorage API on a folder of raw files. Every host must see the folder at the same path. No call waits for anything while it changes
 * a volume, so that no two changes can meet.
 */
export class FolderStorage implements vstorage.StorageProvider {
  readonly facets: vstorage.StorageFacets;
  readonly #options: FolderStorageOptions;
  readonly #folder: VolumeFolder;

  constructor(options: FolderStorageOptions) {
    this.#options = options;
    this.#folder = new VolumeFolder(options.directory);
    this.facets = { resize: { resizeVolume: (input, context) => this.#resizeVolume(input, context) } };
  }

  async describe({ scope }: Input<"describe">): Promise<Description> {
    const { name } = this.#options;
    const limits = { online: false, shrink: false };
    const here = scope.pool === undefined || scope.pool === name;
    return {
      implementation: { name: "@acme/vdc-folder-storage", version: "1.0.0", simulated: false },
      facets: {
        resize: here
          ? { status: "available", limits, evidence: "ftruncate(2) lets a file grow" }
          : { status: "unavailable", reason: `there is no pool '${scope.pool}' here` },
      },
      attributes: { fencing: "none", pool: name },
    };
  }

  async createVolume(input: vstorage.CreateVolume, context: OperationContext): Promise<vstorage.Volume> {
    refuseWhenOver(context);
    const { name, capacityBytes, owner } = input;
    const [parameter] = Object.keys(input.parameters ?? {});
    if (parameter !== undefined) throw new VdcError("INVALID_ARGUMENT", `there is no parameter '${parameter}'`);
    if (capacityBytes === 0) throw new VdcError("OUT_OF_RANGE", "a volume has at least one byte");
    const present = this.#folder.list().find((record) => record.name === name);
    if (present !== undefined) {
      const same = present.createdBytes === capacityBytes && isDeepStrictEqual(present.owner, owner);
      if (same) return this.#volumeOf(present);
      throw new VdcError("ALREADY_EXISTS", `there is a volume '${name}' of another spec`);
    }
    this.#mustFit(capacityBytes);
    const created = { volumeId: context.random.uuid(), createdAt: context.clock.now(), highest: 0 };
    this.#folder.save({ ...created, name, createdBytes: capacityBytes, capacityBytes, owner });
    return this.getVolume(created);
  }

  async deleteVolume({ volumeId }: Input<"deleteVolume">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const record = this.#folder.get(volumeId);
    if (record === undefined) return;
    this.#mustBeDetached(record);
    this.#folder.remove(volumeId);
  }

  async getVolume({ volumeId }: Input<"getVolume">): Promise<vstorage.Volume> {
    return this.#volumeOf(this.#recordOf(volumeId));
  }

  async listVolumes(input: Input<"listVolumes">): Promise<Page<vstorage.Volume>> {
    const { limit = 100, pageToken = "after:", ownerDatacenter, name } = input;
    if (!pageToken.startsWith("after:")) throw new VdcError("ABORTED", "the page token is unknown: begin again");
    const found = this.#folder
      .list()
      .filter((record) => `after:${record.name}` > pageToken)
      .filter((record) => name === undefined || record.name === name)
      .filter((record) => ownerDatacenter === undefined || record.owner?.datacenter === ownerDatacenter);
    const items = found.slice(0, limit).map((record) => this.#volumeOf(record));
    return found.length > limit ? { items, nextPageToken: `after:${items.at(-1)?.name}` } : { items };
  }

  async capacity({ pool }: Input<"capacity">): Promise<vstorage.PoolCapacity> {
    const { name, capacityBytes: totalBytes } = this.#options;
    if (pool !== undefined && pool !== name) throw new VdcError("NOT_FOUND", `there is no pool '${pool}'`);
    const allocatedBytes = sum(this.#folder.list().map(({ volumeId }) => this.#folder.allocatedBytes(volumeId)));
    const provisionedBytes = this.#provisionedBytes();
    const freeBytes = Math.max(0, totalBytes - allocatedBytes);
    const rest = { reservedBytes: 0, maxOverSubscription: 1, alarms: [] };
    return { totalBytes, freeBytes, allocatedBytes, provisionedBytes, ...rest };
  }

  async attachVolume(input: vstorage.AttachVolume, context: OperationContext): Promise<vstorage.Attachment> {
    refuseWhenOver(context);
    const { host, access, generation } = input;
    const record = this.#recordOf(input.volumeId);
    const { name, highest, attached } = record;
    if (attached === undefined || generation !== highest) {
      if (generation <= highest) {
        const message = `volume '${name}' has seen attachment generation ${highest}: ${generation} is fenced`;
        throw new VdcError("FAILED_PRECONDITION", message, { reason: "VDC_FENCED" });
      }
      this.#folder.save({ ...record, highest: generation, attached: { host, access } });
    } else if (attached.host !== host || attached.access !== access) {
      throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is attached otherwise, to host '${attached.host}'`);
    }
    return this.#attachmentOf(this.#recordOf(input.volumeId)) as vstorage.Attachment;
  }

  async detachVolume({ volumeId, host, generation }: Input<"detachVolume">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const record = this.#folder.get(volumeId);
    if (record?.attached?.host !== host || record.highest !== generation) return;
    this.#folder.save({ ...record, attached: undefined });
  }

  async revokeAttachment(
    { volumeId, generation }: Input<"revokeAttachment">,
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const record = this.#recordOf(volumeId);
    if (generation >= record.highest) this.#folder.save({ ...record, highest: generation, attached: undefined });
  }

  async getAttachment({ volumeId }: Input<"getAttachment">): Promise<{ readonly attachment?: vstorage.Attachment }> {
    const attachment = this.#attachmentOf(this.#recordOf(volumeId));
    return attachment === undefined ? {} : { attachment };
  }

  async health({ volumeId }: Input<"health">): Promise<vstorage.VolumeHealth> {
    if (volumeId !== undefined) this.#recordOf(volumeId);
    return { condition: "healthy", message: "the folder can be read" };
  }

  async #resizeVolume(
    input: Parameters<vstorage.ResizeFacet["resizeVolume"]>[0],
    context: OperationContext,
  ): Promise<vstorage.Volume> {
    if (context.signal.aborted) throw toVdcError(context.signal.reason);
    const { volumeId, capacityBytes } = input;
    const record = this.#recordOf(volumeId);
    const moreBytes = capacityBytes - record.capacityBytes;
    if (moreBytes < 0) throw new VdcError("OUT_OF_RANGE", `volume '${record.name}' can't be made smaller`);
    if (moreBytes > 0) {
      this.#mustBeDetached(record);
      this.#mustFit(moreBytes);
      this.#folder.save({ ...record, capacityBytes });
    }
    return this.getVolume({ volumeId });
  }

  #recordOf(volumeId: string): VolumeRecord {
    const record = this.#folder.get(volumeId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
    return record;
  }

  #provisionedBytes(): number {
    return sum(this.#folder.list().map(({ capacityBytes }) => capacityBytes));
  }

  #mustFit(moreBytes: number): void {
    const leftBytes = this.#options.capacityBytes - this.#provisionedBytes();
    if (moreBytes <= leftBytes) return;
    throw new VdcError("RESOURCE_EXHAUSTED", `the pool has ${leftBytes} bytes left: ${moreBytes} do not fit`);
  }

  #mustBeDetached({ name, attached }: VolumeRecord): void {
    if (attached === undefined) return;
    const blockers = [{ kind: "host", name: attached.host }];
    throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is attached to host '${attached.host}'`, { blockers });
  }

  #volumeOf({ volumeId, name, capacityBytes, createdAt, owner }: VolumeRecord): vstorage.Volume {
    const allocatedBytes = this.#folder.allocatedBytes(volumeId);
    const sizes = { capacityBytes, allocatedBytes, exclusiveBytes: allocatedBytes };
    return { volumeId, name, ...sizes, createdAt, parameters: {}, ...(owner === undefined ? {} : { owner }) };
  }

  #attachmentOf({ volumeId, highest, attached }: VolumeRecord): vstorage.Attachment | undefined {
    if (attached === undefined) return undefined;
    const transport = { kind: "file", path: this.#folder.dataPath(volumeId), format: "raw" } as const;
    const loses = { fencing: "the VM monitor opens the file itself, and nothing can take it away again" };
    return { volumeId, ...attached, generation: highest, transport, fencing: "none", loses };
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
