import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { identifier, nothing, type OwnerStamp, objectName, ownerStamp } from "../../contract/ownership.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { stream, unary } from "../../extension-point/operation.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type Volume, volume } from "./volume.ts";

/** Facet `resize` (CSI EXPAND_VOLUME). Limits: `online` (while attached), `shrink`. */
export interface ResizeFacet {
  /**
   * Sets the virtual size. What is added reads as zeroes, also where a shrink before had cut data off. A smaller one fails with `OUT_OF_RANGE` unless `shrink` is
   * available and `allowShrink` is set. An attached volume fails with `FAILED_PRECONDITION` unless `online` is available.
   */
  resizeVolume(
    input: { readonly volumeId: string; readonly capacityBytes: Bytes; readonly allowShrink?: boolean },
    context: OperationContext,
  ): Promise<Volume>;
}

/** Facet `discard` (UNMAP, csi-addons ReclaimSpace): space that the guest gives up goes back to the pool. */
export interface DiscardFacet {
  /** Gives back what is unused in a volume: what reads as zeroes, or was discarded. Never changes what it reads as. Returns how much that was. */
  reclaim(input: { readonly volumeId: string }, context: OperationContext): Promise<{ readonly reclaimedBytes: Bytes }>;
}

/** Limits on a volume's data path. 0 is no limit. */
export interface QosPolicy {
  readonly iops: number;
  readonly bytesPerSecond: Bytes;
  /** What may be done at once after a pause, in operations. Defaults to one second's worth. */
  readonly burstOperations?: number;
  /** What may be moved at once after a pause, in bytes. Defaults to one second's worth. */
  readonly burstBytes?: Bytes;
}

/**
 * Facet `qos` (Cinder back-end QoS, QEMU throttle groups). A volume's limits hold for all that its owner does, from the moment `setQos` returns, also for a
 * present attachment, and stay until they are changed: after a detach and a restart too. Limits: `maxIops`, `maxBytesPerSecond` (0 for none; above fails with `OUT_OF_RANGE`).
 */
export interface QosFacet {
  setQos(input: { readonly volumeId: string; readonly policy: QosPolicy }, context: OperationContext): Promise<void>;
  /** What is in force: what the data path really applies, not what was asked. All 0 for a volume that was never limited. */
  getQos(input: { readonly volumeId: string }, context: OperationContext): Promise<QosPolicy>;
}

/**
 * Facet `encryption` (Cinder LUKS types). Keys are references into a secret store: no operation carries or returns a key. Limits: `ciphers`, `onlineRotation` (where it is
 * false, rotating the key of an attached volume fails with `FAILED_PRECONDITION`).
 */
export interface EncryptionFacet {
  encryptionStatus(
    input: { readonly volumeId: string },
    context: OperationContext,
  ): Promise<{ readonly encrypted: boolean; readonly cipher?: string; readonly keyRef?: string }>;
  /** Makes the volume readable with the new key and no longer with the old one. Its content stays. A key that can't be read fails with `PERMISSION_DENIED`. */
  rotateKey(input: { readonly volumeId: string; readonly keyRef: string }, context: OperationContext): Promise<void>;
}

/** A run of a volume's bytes. */
export interface Extent {
  readonly offset: Bytes;
  readonly length: Bytes;
  /** Whether it holds data, or reads as zeroes. */
  readonly zero: boolean;
}

/** A moment since which changes are tracked. */
export interface Checkpoint {
  readonly checkpoint: string;
  readonly name: string;
  readonly createdAt: Timestamp;
  /** False when tracking was broken since: `changedExtents` fails, and a full copy is needed. */
  readonly intact: boolean;
}

/**
 * Facet `changedBlocks` (VADP QueryChangedDiskAreas, CSI GetMetadataAllocated and GetMetadataDelta). Never misses a change; may
 * report what did not change. Limits: `granularityBytes`, `survivesCrash`.
 */
export interface ChangedBlocksFacet {
  /**
   * Begins to track from now on, under a name: whatever is written after it returns is reported, also while the volume is attached. Several checkpoints are
   * independent of each other. Repeating it with the name of a live checkpoint returns that one.
   */
  createCheckpoint(
    input: { readonly volumeId: string; readonly name: string },
    context: OperationContext,
  ): Promise<{ readonly checkpoint: string }>;
  /** The live checkpoints of a volume, oldest first. */
  listCheckpoints(input: { readonly volumeId: string }, context: OperationContext): Promise<readonly Checkpoint[]>;
  /** Deleting what is absent succeeds. */
  deleteCheckpoint(
    input: { readonly volumeId: string; readonly checkpoint: string },
    context: OperationContext,
  ): Promise<void>;
  /** What changed since a checkpoint, in order of offset. `FAILED_PRECONDITION` when tracking was broken: take a full copy. */
  changedExtents(
    input: { readonly volumeId: string; readonly since: string; readonly startingOffset?: Bytes },
    context: OperationContext,
  ): AsyncIterable<Extent>;
  /** What is allocated, in order of offset. */
  allocatedExtents(
    input: { readonly volumeId: string; readonly startingOffset?: Bytes },
    context: OperationContext,
  ): AsyncIterable<Extent>;
}

/** A file of a known format on the provider's host. The format is the caller's to know: it is never guessed from the content. */
export interface ImageFile {
  readonly path: string;
  readonly format: string;
}

/** Input of `importExport.importVolume`. */
export interface ImportVolume {
  readonly name: string;
  readonly source: ImageFile;
  /** At least the image's size. Defaults to it. */
  readonly capacityBytes?: Bytes;
  readonly owner?: OwnerStamp;
}

/** Facet `importExport`. Images are inspected before they are read: backing files, external data and unknown features are refused. Limits: `importFormats`, `exportFormats`. */
export interface ImportExportFacet {
  /** Makes a volume of an image. Reports progress. Keeps holes. */
  importVolume(input: ImportVolume, context: OperationContext): Promise<Volume>;
  /** Writes a volume's content into a new file. Reports progress. Fails with `ALREADY_EXISTS` when there is one. */
  exportVolume(
    input: { readonly volumeId: string; readonly destination: ImageFile },
    context: OperationContext,
  ): Promise<void>;
}

const volumeRef = z.object({ volumeId: identifier });
const imageFile = z.object({ path: z.string(), format: z.string() });
const policy = schemaOf<QosPolicy>()(
  z.object({
    iops: z.number().nonnegative(),
    bytesPerSecond: bytes,
    burstOperations: z.number().nonnegative().exactOptional(),
    burstBytes: bytes.exactOptional(),
  }),
);

/** Schema of {@link Extent}. */
export const extent: z.ZodType<Extent> = schemaOf<Extent>()(
  z.object({ offset: bytes, length: bytes, zero: z.boolean() }),
);

const checkpoint = schemaOf<Checkpoint>()(
  z.object({ checkpoint: identifier, name: z.string(), createdAt: timestamp, intact: z.boolean() }),
);

/** The operations of {@link ResizeFacet}. */
export const resizeOperations: OperationsOf<ResizeFacet> = {
  resizeVolume: unary({
    summary: "Sets a volume's virtual size.",
    input: z.object({ volumeId: identifier, capacityBytes: bytes, allowShrink: z.boolean().exactOptional() }),
    output: volume,
    idempotent: true,
    errors: ["NOT_FOUND", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "PERMISSION_DENIED"],
  }),
};

/** The operations of {@link DiscardFacet}. */
export const discardOperations: OperationsOf<DiscardFacet> = {
  reclaim: unary({
    summary: "Gives back what is unused in a volume.",
    input: volumeRef,
    output: z.object({ reclaimedBytes: bytes }),
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "ABORTED", "PERMISSION_DENIED"],
  }),
};

/** The operations of {@link QosFacet}. */
export const qosOperations: OperationsOf<QosFacet> = {
  setQos: unary({
    summary: "Limits a volume's data path.",
    input: z.object({ volumeId: identifier, policy }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "OUT_OF_RANGE", "ABORTED", "FAILED_PRECONDITION"],
  }),
  getQos: unary({
    summary: "Returns the limits in force.",
    input: volumeRef,
    output: policy,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link EncryptionFacet}. */
export const encryptionOperations: OperationsOf<EncryptionFacet> = {
  encryptionStatus: unary({
    summary: "Tells whether and how a volume is encrypted.",
    input: volumeRef,
    output: z.object({
      encrypted: z.boolean(),
      cipher: z.string().exactOptional(),
      keyRef: z.string().exactOptional(),
    }),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  rotateKey: unary({
    summary: "Replaces a volume's key.",
    input: z.object({ volumeId: identifier, keyRef: z.string() }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "PERMISSION_DENIED", "ABORTED"],
  }),
};

/** The operations of {@link ChangedBlocksFacet}. */
export const changedBlocksOperations: OperationsOf<ChangedBlocksFacet> = {
  createCheckpoint: unary({
    summary: "Begins to track changes from now on.",
    input: z.object({ volumeId: identifier, name: objectName }),
    output: z.object({ checkpoint: identifier }),
    idempotent: true,
    errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED"],
  }),
  listCheckpoints: unary({
    summary: "Lists a volume's live checkpoints, oldest first.",
    input: volumeRef,
    output: z.array(checkpoint),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  deleteCheckpoint: unary({
    summary: "Ends the tracking since a checkpoint.",
    input: z.object({ volumeId: identifier, checkpoint: identifier }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  changedExtents: stream({
    summary: "Streams what changed since a checkpoint.",
    input: z.object({ volumeId: identifier, since: identifier, startingOffset: bytes.exactOptional() }),
    output: extent,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "PERMISSION_DENIED"],
  }),
  allocatedExtents: stream({
    summary: "Streams what is allocated.",
    input: z.object({ volumeId: identifier, startingOffset: bytes.exactOptional() }),
    output: extent,
    idempotent: true,
    errors: ["NOT_FOUND", "OUT_OF_RANGE", "PERMISSION_DENIED"],
  }),
};

/** The operations of {@link ImportExportFacet}. */
export const importExportOperations: OperationsOf<ImportExportFacet> = {
  importVolume: unary({
    summary: "Makes a volume of an image file.",
    input: schemaOf<ImportVolume>()(
      z.object({
        name: objectName,
        source: imageFile,
        capacityBytes: bytes.exactOptional(),
        owner: ownerStamp.exactOptional(),
      }),
    ),
    output: volume,
    idempotent: true,
    errors: [
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "RESOURCE_EXHAUSTED",
      "DATA_LOSS",
      "OUT_OF_RANGE",
      "ABORTED",
      "PERMISSION_DENIED",
    ],
  }),
  exportVolume: unary({
    summary: "Writes a volume's content into a new file.",
    input: z.object({ volumeId: identifier, destination: imageFile }),
    output: nothing,
    idempotent: false,
    errors: [
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "PERMISSION_DENIED",
    ],
  }),
};
