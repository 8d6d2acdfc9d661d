import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { type Generation, generation, identifier, nothing } from "../../contract/ownership.ts";
import { type Page, type PageRequest, pageOf, pageRequestShape } from "../../contract/page.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { unary } from "../../extension-point/operation.ts";
import {
  type ClonesFacet,
  clonesOperations,
  type LayeringFacet,
  type LineageFacet,
  layeringOperations,
  lineageOperations,
} from "./clones.ts";
import {
  type ChangedBlocksFacet,
  changedBlocksOperations,
  type DiscardFacet,
  discardOperations,
  type EncryptionFacet,
  encryptionOperations,
  type ImportExportFacet,
  importExportOperations,
  type QosFacet,
  qosOperations,
  type ResizeFacet,
  resizeOperations,
} from "./data-services.ts";
import {
  type EpochsFacet,
  epochsOperations,
  type GroupSnapshotsFacet,
  groupSnapshotsOperations,
  type MigrateFacet,
  migrateOperations,
  type ReplicateFacet,
  replicateOperations,
} from "./replication.ts";
import { type PoolCapacity, poolCapacity, type VolumeHealth, volumeHealth } from "./pool.ts";
import { type SnapshotsFacet, snapshotsOperations } from "./snapshots.ts";
import {
  type Attachment,
  type AttachVolume,
  attachment,
  attachVolume,
  type CreateVolume,
  createVolume,
  type Volume,
  volume,
} from "./volume.ts";

/** The optional parts of {@link StorageProvider}. A facet is present exactly when `describe` can report it as available. */
export interface StorageFacets {
  readonly resize?: ResizeFacet;
  readonly snapshots?: SnapshotsFacet;
  readonly layering?: LayeringFacet;
  readonly clones?: ClonesFacet;
  readonly lineage?: LineageFacet;
  readonly changedBlocks?: ChangedBlocksFacet;
  readonly discard?: DiscardFacet;
  readonly qos?: QosFacet;
  readonly encryption?: EncryptionFacet;
  readonly groupSnapshots?: GroupSnapshotsFacet;
  readonly epochs?: EpochsFacet;
  readonly replicate?: ReplicateFacet;
  readonly importExport?: ImportExportFacet;
  readonly migrate?: MigrateFacet;
}

/**
 * The vStorage API: what a storage vendor implements (terms and discipline of CSI 1.12; capacity model of Cinder).
 *
 * - Creates are idempotent by name, deletes and detaches by absence: what is gone is a success.
 * - One call at a time changes a volume; a second one fails with `ABORTED`, and the caller tries again.
 * - Whatever was acknowledged survives `kill -9`; whatever was not leaves nothing behind that a later call can't complete or undo.
 * - A volume has one owner: see {@link Attachment} and `revokeAttachment`.
 * - Lists come in order of name, by pages: an object that is there throughout is on exactly one page, whatever else comes and goes. A page
 *   token that is unknown or too old fails with `ABORTED`: begin again.
 * - A caller that cancels gets `CANCELLED`. What it had asked for is then whole or not there at all, and a repeat finds out which.
 *
 * An error code means the same in every operation (CSI's table; `blockers` name what is in the way):
 *
 * | code | when | what the caller does |
 * | --- | --- | --- |
 * | `INVALID_ARGUMENT` | the input makes no sense here: an unknown parameter, a format that is not known | changes it |
 * | `NOT_FOUND` | the volume, snapshot, checkpoint or pool is not there | |
 * | `ALREADY_EXISTS` | the name is taken by something else | takes another name |
 * | `OUT_OF_RANGE` | a size, offset or limit that can't be had: below the least, above the most, smaller than the content | changes it |
 * | `RESOURCE_EXHAUSTED` | no room in the pool, or its over-subscription limit, attach limit or snapshot limit is reached | makes room, goes elsewhere |
 * | `FAILED_PRECONDITION` | attached, has children or snapshots, fenced (`VDC_FENCED`), tracking broken | removes the blockers first |
 * | `ABORTED` | another call changes the same object now; a page token is too old | tries again |
 * | `UNIMPLEMENTED` | the provider can't do this at all (a source, a mode) | never tries again |
 * | `PERMISSION_DENIED` | the provider may not read or write a file or key | |
 * | `DATA_LOSS` | content is known to be damaged | restores |
 * | `UNAVAILABLE` | the backing storage does not answer now | tries again with back-off |
 */
export interface StorageProvider {
  /** Attributes: see {@link StorageAttributes}. */
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  createVolume(input: CreateVolume, context: OperationContext): Promise<Volume>;
  /** An attached volume fails with `FAILED_PRECONDITION` and names the host; one with snapshots or overlays does too, and names them. */
  deleteVolume(input: { readonly volumeId: string }, context: OperationContext): Promise<void>;
  getVolume(input: { readonly volumeId: string }, context: OperationContext): Promise<Volume>;
  /** In order of name. With `ownerDatacenter`, those that this datacenter stamped. With `name`, the one of that name. */
  listVolumes(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly name?: string },
    context: OperationContext,
  ): Promise<Page<Volume>>;
  /** Of the pool that is named, or of all that the provider has. */
  capacity(input: { readonly pool?: string }, context: OperationContext): Promise<PoolCapacity>;
  /** Makes the volume reachable on a host for its owner. A lower generation than one seen before is fenced; a higher one takes over, after the old owner is cut off. */
  attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment>;
  /** Ends the attachment of that generation. An absent or older one is a success and changes nothing. */
  detachVolume(
    input: { readonly volumeId: string; readonly host: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
  /**
   * Cuts off every owner up to and including this generation: drains what is in flight, persists the high-water mark, then refuses
   * everything older, also after a restart. When it returns, no older write can reach the volume any more.
   */
  revokeAttachment(
    input: { readonly volumeId: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
  /** The present attachment of a volume, if any. */
  getAttachment(
    input: { readonly volumeId: string },
    context: OperationContext,
  ): Promise<{ readonly attachment?: Attachment }>;
  /** Of a volume, or of the whole pool. */
  health(input: { readonly volumeId?: string }, context: OperationContext): Promise<VolumeHealth>;
  readonly facets?: StorageFacets;
}

const volumeRef = z.object({ volumeId: identifier });

/** The extension point for storage: the vStorage API. */
export const storageProvider: ExtensionPoint<StorageProvider> = defineExtensionPoint<StorageProvider>()({
  id: "vdc.storage",
  version: "1.0",
  summary: "Storage: volumes, how hosts reach them, and what can be done with them.",
  operations: {
    describe: describeOperation,
    createVolume: unary({
      summary: "Creates a volume that reads as zeroes.",
      input: createVolume,
      output: volume,
      idempotent: true,
      errors: ["ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "OUT_OF_RANGE", "ABORTED", "PERMISSION_DENIED"],
    }),
    deleteVolume: unary({
      summary: "Deletes a volume; deleting what is absent succeeds.",
      input: volumeRef,
      output: nothing,
      idempotent: true,
      errors: ["FAILED_PRECONDITION", "ABORTED"],
    }),
    getVolume: unary({
      summary: "Returns a volume.",
      input: volumeRef,
      output: volume,
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    listVolumes: unary({
      summary: "Lists volumes by page, in order of name.",
      input: z.object({
        ...pageRequestShape,
        ownerDatacenter: z.string().exactOptional(),
        name: z.string().exactOptional(),
      }),
      output: pageOf(volume),
      idempotent: true,
      errors: ["ABORTED"],
    }),
    capacity: unary({
      summary: "Tells a pool's space.",
      input: z.object({ pool: z.string().exactOptional() }),
      output: poolCapacity,
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    attachVolume: unary({
      summary: "Makes a volume reachable on a host for its one owner.",
      input: attachVolume,
      output: attachment,
      idempotent: true,
      errors: [
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "UNIMPLEMENTED",
        "PERMISSION_DENIED",
      ],
    }),
    detachVolume: unary({
      summary: "Ends an attachment; ending one that is absent or older succeeds.",
      input: z.object({ volumeId: identifier, host: z.string(), generation }),
      output: nothing,
      idempotent: true,
      errors: ["ABORTED"],
    }),
    revokeAttachment: unary({
      summary: "Cuts off every owner up to a generation, durably.",
      input: z.object({ volumeId: identifier, generation }),
      output: nothing,
      idempotent: true,
      errors: ["NOT_FOUND", "ABORTED"],
    }),
    getAttachment: unary({
      summary: "Returns a volume's present attachment.",
      input: volumeRef,
      output: z.object({ attachment: attachment.exactOptional() }),
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    health: unary({
      summary: "Tells whether a volume or the pool is well.",
      input: z.object({ volumeId: identifier.exactOptional() }),
      output: volumeHealth,
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
  },
  facets: {
    resize: resizeOperations,
    snapshots: snapshotsOperations,
    layering: layeringOperations,
    clones: clonesOperations,
    lineage: lineageOperations,
    changedBlocks: changedBlocksOperations,
    discard: discardOperations,
    qos: qosOperations,
    encryption: encryptionOperations,
    groupSnapshots: groupSnapshotsOperations,
    epochs: epochsOperations,
    replicate: replicateOperations,
    importExport: importExportOperations,
    migrate: migrateOperations,
  },
});
