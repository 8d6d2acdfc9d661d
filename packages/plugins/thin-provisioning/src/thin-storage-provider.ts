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
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { childrenOf } from "./attachments.ts";
import { emptyVolumeRequest } from "./create-request.ts";
import { describePool } from "./describe-pool.ts";
import { ChangedBlocks } from "./changed-blocks.ts";
import { encryptedImage } from "./encrypted-image.ts";
import { Encryption } from "./encryption.ts";
import { GroupSnapshots } from "./group-snapshots.ts";
import { ImageTransfer } from "./image-transfer.ts";
import { Layering } from "./layering.ts";
import type { NewVolumeEncryption } from "./key-resolver.ts";
import { listByName } from "./list-by-name.ts";
import { poolHealth, volumeHealth } from "./pool-health.ts";
import { QualityOfService } from "./quality-of-service.ts";
import { Reclaiming } from "./reclaiming.ts";
import { Resizing } from "./resizing.ts";
import { Snapshots } from "./snapshots.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import { volumeOf } from "./volume-of.ts";
import { clusterBytesOf, type VolumeRequest } from "./volume-record.ts";

/** The vStorage API on a pool of qcow2 images. */
export class ThinStorageProvider implements StorageProvider {
  readonly facets: Required<
    Pick<
      StorageFacets,
      "resize" | "snapshots" | "layering" | "changedBlocks" | "discard" | "qos" | "groupSnapshots" | "importExport"
    >
  > &
    Pick<StorageFacets, "encryption">;
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
    this.facets = {
      resize: new Resizing(pool),
      snapshots: new Snapshots(pool),
      layering: new Layering(pool),
      changedBlocks: new ChangedBlocks(pool),
      discard: new Reclaiming(pool),
      qos: new QualityOfService(pool),
      groupSnapshots: new GroupSnapshots(pool),
      importExport: new ImageTransfer(pool),
      ...(pool.keys.hasStore ? { encryption: new Encryption(pool) } : {}),
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
        ...encryptedImage(encryptionAskedFor(pool, request, context), {
          clusterSizeBytes: clusterBytesOf({ request }),
        }),
      });
      return volumeOf(pool, entry);
    } catch (error) {
      throw storageFailure(error, `creating volume '${input.name}'`);
    }
  }

  async deleteVolume({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<void> {
    const pool = this.#pool;
    const { catalog } = pool;
    assertNotCancelled(context);
    const entry = catalog.find(volumeId);
    if (entry === undefined) return;
    const { name } = entry.record;
    await entry.change(
      ["content", "attachment"],
      "delete",
      async () => {
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
        await pool.layers.settle(entry, context);
        const live = (entry.record.snapshots ?? []).filter(({ deleted }) => deleted !== true);
        if (live.length > 0) {
          throw new VdcError("FAILED_PRECONDITION", `volume '${name}' has ${live.length} snapshots`, {
            reason: "VDC_VOLUME_HAS_SNAPSHOTS",
            blockers: live.slice(0, 20).map((snapshot) => ({ kind: "snapshot", name: snapshot.name })),
          });
        }
        try {
          await catalog.remove(entry);
        } catch (error) {
          throw storageFailure(error, `deleting volume '${name}'`);
        }
      },
      { isEnd: true },
    );
  }

  async getVolume({ volumeId }: { readonly volumeId: string }, _context: OperationContext): Promise<Volume> {
    return volumeOf(this.#pool, this.#pool.catalog.get(volumeId));
  }

  async listVolumes(
    input: Parameters<StorageProvider["listVolumes"]>[0],
    _context: OperationContext,
  ): Promise<Page<Volume>> {
    const { catalog, poolId } = this.#pool;
    const { ownerDatacenter } = input;
    const page = listByName({
      ...input,
      poolId,
      names: input.name === undefined ? catalog.names : [input.name],
      find: (name) => {
        const entry = catalog.findByName(name);
        const mine = ownerDatacenter === undefined || entry?.record.request.owner?.datacenter === ownerDatacenter;
        return mine ? entry : undefined;
      },
    });
    return { ...page, items: page.items.map((entry) => volumeOf(this.#pool, entry)) };
  }

  async capacity({ pool }: { readonly pool?: string }, _context: OperationContext): Promise<PoolCapacity> {
    if (pool !== undefined && pool !== this.#pool.name) {
      throw new VdcError("NOT_FOUND", `there is no pool '${pool}': the pool is '${this.#pool.name}'`);
    }
    return this.#pool.capacity();
  }

  async attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    assertNotCancelled(context);
    return this.#pool.attachments.attach(input, context);
  }

  async detachVolume(input: Parameters<StorageProvider["detachVolume"]>[0], context: OperationContext): Promise<void> {
    assertNotCancelled(context);
    return this.#pool.attachments.detach(input, context);
  }

  async revokeAttachment(
    input: Parameters<StorageProvider["revokeAttachment"]>[0],
    context: OperationContext,
  ): Promise<void> {
    assertNotCancelled(context);
    return this.#pool.attachments.revoke(input, context);
  }

  async getAttachment(
    { volumeId }: { readonly volumeId: string },
    _context: OperationContext,
  ): Promise<{ readonly attachment?: Attachment }> {
    const attachment = this.#pool.attachments.attachmentOf(this.#pool.catalog.get(volumeId));
    return attachment === undefined ? {} : { attachment };
  }

  health({ volumeId }: { readonly volumeId?: string }, context: OperationContext): Promise<VolumeHealth> {
    const pool = this.#pool;
    return volumeId === undefined ? poolHealth(pool) : volumeHealth(pool, pool.catalog.get(volumeId), context);
  }
}

/** What says how a new volume is encrypted; `undefined` when it is not to be. */
function encryptionAskedFor(
  { keys }: ThinPool,
  { parameters = {} }: VolumeRequest,
  context: OperationContext,
): (() => Promise<NewVolumeEncryption | undefined>) | undefined {
  const { encryption, keyRef } = parameters;
  if (encryption === undefined && keys.defaultKeyRef === undefined) return undefined;
  if (keyRef === undefined && keys.defaultKeyRef === undefined) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      "parameter 'encryption' needs 'keyRef' here: the pool has no key of its own",
      {
        reason: "VDC_KEY_REFERENCE",
      },
    );
  }
  return () => keys.forNewVolume(keyRef, undefined, context);
}
