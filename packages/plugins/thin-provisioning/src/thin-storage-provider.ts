import { type DescribeInput, type Description, type OperationContext, type Page, VdcError } from "@vdc-os/core";
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
import { syncDirectory } from "@vdc-os/core/local";
import { createImageSync, inspect } from "@vdc-os/qcow2";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { childrenOf } from "./attachments.ts";
import { emptyVolumeRequest } from "./create-request.ts";
import { describePool } from "./describe-pool.ts";
import { ImageTransfer } from "./image-transfer.ts";
import { Layering } from "./layering.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { Resizing } from "./resizing.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import { volumeOf } from "./volume-of.ts";

/** The vStorage API on a pool of qcow2 images. */
export class ThinStorageProvider implements StorageProvider {
  readonly facets: Required<Pick<StorageFacets, "resize" | "layering" | "importExport">>;
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
    this.facets = {
      resize: new Resizing(pool),
      layering: new Layering(pool),
      importExport: new ImageTransfer(pool),
    };
  }

  async describe({ scope }: DescribeInput, _context: OperationContext): Promise<Description> {
    return describePool(this.#pool, scope);
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    const pool = this.#pool;
    assertNotCancelled(context);
    const request = emptyVolumeRequest(input);
    const unreachable = request.accessibleHosts?.filter((host) => pool.accessibleHosts?.includes(host) === false) ?? [];
    if (unreachable.length > 0) {
      throw new VdcError("RESOURCE_EXHAUSTED", `pool '${pool.name}' does not reach ${unreachable.join(", ")}`, {
        reason: "VDC_HOST_NOT_ACCESSIBLE",
        retryable: false,
      });
    }
    try {
      const entry = await pool.catalog.create({
        volumeId: pool.random.uuid(),
        name: input.name,
        request,
        createdAt: pool.clock.now(),
        measure: () => {
          pool.assertCanPromise(input.capacityBytes);
          return input.capacityBytes;
        },
        write: async (path, virtualSizeBytes) => {
          const clusterSizeBytes = Number(request.parameters?.clusterBytes ?? 65536);
          createImageSync({ path, virtualSizeBytes, clusterSizeBytes, durable: false });
          await syncDirectory(path);
        },
      });
      return volumeOf(pool, entry);
    } catch (error) {
      throw storageFailure(error, `creating volume '${input.name}'`);
    }
  }

  async deleteVolume({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<void> {
    const { catalog } = this.#pool;
    assertNotCancelled(context);
    const entry = catalog.find(volumeId);
    if (entry === undefined) return;
    const { name } = entry.record;
    await entry.change(["content", "attachment"], "delete", async () => {
      const { attachment } = entry.record;
      if (attachment !== undefined) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is attached to host '${attachment.host}'`, {
          reason: "VDC_VOLUME_ATTACHED",
          details: { host: attachment.host, generation: attachment.generation },
          blockers: [{ kind: "host", name: attachment.host }],
        });
      }
      if (entry.children.size > 0) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' has ${entry.children.size} overlays`, {
          reason: "VDC_VOLUME_IS_PARENT",
          blockers: childrenOf(entry, catalog),
        });
      }
      if (entry.pins > 0) {
        throw new VdcError("ABORTED", `an overlay of volume '${name}' is being made: try again`, {
          reason: "VDC_VOLUME_BUSY",
        });
      }
      try {
        await catalog.remove(entry);
      } catch (error) {
        throw storageFailure(error, `deleting volume '${name}'`);
      }
    });
  }

  async getVolume({ volumeId }: { readonly volumeId: string }, _context: OperationContext): Promise<Volume> {
    return volumeOf(this.#pool, this.#pool.catalog.get(volumeId));
  }

  async listVolumes(
    input: Parameters<StorageProvider["listVolumes"]>[0],
    _context: OperationContext,
  ): Promise<Page<Volume>> {
    const { catalog, poolId } = this.#pool;
    const { limit = 500, pageToken, ownerDatacenter } = input;
    const after = pageToken === undefined ? "" : decodePageToken(poolId, pageToken);
    const names = input.name === undefined ? catalog.names : [input.name];
    const items: Volume[] = [];
    let last = "";
    for (let at = firstAfter(names, after); at < names.length; at++) {
      const entry = catalog.findByName(names[at] as string);
      if (entry === undefined) continue;
      if (ownerDatacenter !== undefined && entry.record.request.owner?.datacenter !== ownerDatacenter) continue;
      if (items.length === limit) return { items, nextPageToken: encodePageToken(poolId, last) };
      items.push(volumeOf(this.#pool, entry));
      last = entry.record.name;
    }
    return { items };
  }

  async capacity({ pool }: { readonly pool?: string }, _context: OperationContext): Promise<PoolCapacity> {
    if (pool !== undefined && pool !== this.#pool.name) {
      throw new VdcError("NOT_FOUND", `there is no pool '${pool}': the pool is '${this.#pool.name}'`);
    }
    return this.#pool.capacity();
  }

  attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    return this.#pool.attachments.attach(input, context);
  }

  detachVolume(input: Parameters<StorageProvider["detachVolume"]>[0], context: OperationContext): Promise<void> {
    return this.#pool.attachments.detach(input, context);
  }

  revokeAttachment(
    input: Parameters<StorageProvider["revokeAttachment"]>[0],
    context: OperationContext,
  ): Promise<void> {
    return this.#pool.attachments.revoke(input, context);
  }

  async getAttachment(
    { volumeId }: { readonly volumeId: string },
    _context: OperationContext,
  ): Promise<{ readonly attachment?: Attachment }> {
    const attachment = this.#pool.attachments.attachmentOf(this.#pool.catalog.get(volumeId));
    return attachment === undefined ? {} : { attachment };
  }

  async health({ volumeId }: { readonly volumeId?: string }, _context: OperationContext): Promise<VolumeHealth> {
    const { catalog, layout } = this.#pool;
    if (volumeId === undefined) {
      const { damaged } = catalog;
      if (damaged.length > 0) {
        return {
          condition: "abnormal",
          message: `the records of ${damaged.length} volumes cannot be read: ${damaged.slice(0, 5).join(", ")}`,
        };
      }
      const { alarms } = this.#pool.capacity();
      const full = alarms.some(({ kind }) => kind === "outOfSpace");
      if (alarms.length === 0) return { condition: "healthy", message: "all volumes can be used" };
      return { condition: full ? "abnormal" : "degraded", message: alarms.map(({ message }) => message).join("; ") };
    }
    const entry = catalog.get(volumeId);
    try {
      const image = await inspect(layout.image(volumeId));
      if (image.isCorrupt) return { condition: "abnormal", message: "its image is marked as corrupt" };
    } catch (error) {
      return { condition: "abnormal", message: `its image cannot be read: ${String(error)}` };
    }
    const { parentVolumeId } = entry.record;
    if (parentVolumeId !== undefined && catalog.find(parentVolumeId) === undefined) {
      return { condition: "abnormal", message: `the volume '${parentVolumeId}' that it reads from is gone` };
    }
    return { condition: "healthy", message: "its image can be read" };
  }
}

/** Where the names after one begin, in a sorted list. */
function firstAfter(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] as string) <= name) low = middle + 1;
    else high = middle;
  }
  return low;
}
