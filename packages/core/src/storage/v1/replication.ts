import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import {
  type Generation,
  generation,
  identifier,
  nothing,
  type OwnerStamp,
  objectName,
  ownerStamp,
} from "../../contract/ownership.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { unary } from "../../extension-point/operation.ts";
import { type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type Snapshot, snapshot } from "./snapshots.ts";

/**
 * Facet `epochs`: the storage part of VMotion and Fault Tolerance. Between two seals, writes collect in an epoch beside the volume;
 * a commit makes an epoch and all before it part of the volume, a discard forgets what was not committed. Readers see their own writes.
 */
export interface EpochsFacet {
  /** Closes the present epoch and begins the next. Returns the number of the closed one. */
  sealEpoch(
    input: { readonly volumeId: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<{ readonly epoch: number }>;
  /** Makes an epoch durable in the volume, and all before it. Committing one that is committed succeeds. */
  commitEpoch(
    input: { readonly volumeId: string; readonly generation: Generation; readonly epoch: number },
    context: OperationContext,
  ): Promise<void>;
  /** Forgets all epochs that are not committed. */
  discardEpochs(
    input: { readonly volumeId: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
}

/** A snapshot of several volumes at one moment. */
export interface GroupSnapshot {
  readonly groupSnapshotId: string;
  readonly name: string;
  readonly createdAt: Timestamp;
  readonly snapshots: readonly Snapshot[];
}

/** Facet `groupSnapshots` (CSI GroupController): one moment for all volumes, in the sense that a write that was begun after another was acknowledged is never in without it. Its members are snapshots as any other, and bear its id. */
export interface GroupSnapshotsFacet {
  /** Either all volumes have their snapshot, or none. The same name, volumes and owner returns the same group. */
  createGroupSnapshot(
    input: { readonly name: string; readonly volumeIds: readonly string[]; readonly owner?: OwnerStamp },
    context: OperationContext,
  ): Promise<GroupSnapshot>;
  getGroupSnapshot(input: { readonly groupSnapshotId: string }, context: OperationContext): Promise<GroupSnapshot>;
  /** Deletes the group and all its snapshots, or, when one of them can't be, none: `FAILED_PRECONDITION`. Deleting what is absent succeeds. */
  deleteGroupSnapshot(input: { readonly groupSnapshotId: string }, context: OperationContext): Promise<void>;
}

/** How far a replica or a move has come. */
export interface ReplicationStatus {
  readonly state: "syncing" | "ready" | "promoted" | "failed";
  /** What the target has of the source, 0 to 1. */
  readonly fraction: number;
  readonly message: string;
}

/** Facet `replicate` (csi-addons replication, Cinder replication): a copy in another pool that follows. */
export interface ReplicateFacet {
  enableReplication(
    input: { readonly volumeId: string; readonly targetPool: string },
    context: OperationContext,
  ): Promise<void>;
  disableReplication(input: { readonly volumeId: string }, context: OperationContext): Promise<void>;
  replicationStatus(input: { readonly volumeId: string }, context: OperationContext): Promise<ReplicationStatus>;
  /** Makes the replica the volume. The old one is fenced. */
  promoteReplica(
    input: { readonly volumeId: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
}

/** Facet `migrate` (Storage VMotion, Cinder migrate_volume, QEMU mirror): moves a volume to another pool while it is written to. Limits: `targetPools`. */
export interface MigrateFacet {
  startMigration(
    input: { readonly volumeId: string; readonly targetPool: string },
    context: OperationContext,
  ): Promise<void>;
  migrationStatus(input: { readonly volumeId: string }, context: OperationContext): Promise<ReplicationStatus>;
  /** Switches to the target: the volume keeps its id, content and attachment. Needs state `ready`; `FAILED_PRECONDITION` before. */
  pivotMigration(input: { readonly volumeId: string }, context: OperationContext): Promise<void>;
  /** Leaves the volume where it was, whole, and nothing at the target. Without a move under way it succeeds. */
  cancelMigration(input: { readonly volumeId: string }, context: OperationContext): Promise<void>;
}

const volumeRef = z.object({ volumeId: identifier });
const groupRef = z.object({ groupSnapshotId: identifier });

const groupSnapshot = schemaOf<GroupSnapshot>()(
  z.object({ groupSnapshotId: identifier, name: z.string(), createdAt: timestamp, snapshots: z.array(snapshot) }),
);

const replicationStatus = schemaOf<ReplicationStatus>()(
  z.object({ state: z.enum(["syncing", "ready", "promoted", "failed"]), fraction: z.number(), message: z.string() }),
);

/** The operations of {@link EpochsFacet}. */
export const epochsOperations: OperationsOf<EpochsFacet> = {
  sealEpoch: unary({
    summary: "Closes the present epoch and begins the next.",
    input: z.object({ volumeId: identifier, generation }),
    output: z.object({ epoch: z.int() }),
    idempotent: false,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  commitEpoch: unary({
    summary: "Makes an epoch and all before it part of the volume.",
    input: z.object({ volumeId: identifier, generation, epoch: z.int() }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE"],
  }),
  discardEpochs: unary({
    summary: "Forgets all epochs that are not committed.",
    input: z.object({ volumeId: identifier, generation }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
};

/** The operations of {@link GroupSnapshotsFacet}. */
export const groupSnapshotsOperations: OperationsOf<GroupSnapshotsFacet> = {
  createGroupSnapshot: unary({
    summary: "Takes a snapshot of several volumes at one moment.",
    input: z.object({ name: objectName, volumeIds: z.array(identifier).min(1), owner: ownerStamp.exactOptional() }),
    output: groupSnapshot,
    idempotent: true,
    errors: [
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "RESOURCE_EXHAUSTED",
      "ABORTED",
      "FAILED_PRECONDITION",
      "UNIMPLEMENTED",
      "PERMISSION_DENIED",
    ],
  }),
  getGroupSnapshot: unary({
    summary: "Returns a group snapshot.",
    input: groupRef,
    output: groupSnapshot,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  deleteGroupSnapshot: unary({
    summary: "Deletes a group snapshot; deleting what is absent succeeds.",
    input: groupRef,
    output: nothing,
    idempotent: true,
    errors: ["FAILED_PRECONDITION", "ABORTED", "PERMISSION_DENIED"],
  }),
};

/** The operations of {@link ReplicateFacet}. */
export const replicateOperations: OperationsOf<ReplicateFacet> = {
  enableReplication: unary({
    summary: "Keeps a copy of a volume in another pool.",
    input: z.object({ volumeId: identifier, targetPool: identifier }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"],
  }),
  disableReplication: unary({
    summary: "Ends the copying.",
    input: volumeRef,
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  replicationStatus: unary({
    summary: "Tells how far the copy has come.",
    input: volumeRef,
    output: replicationStatus,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  promoteReplica: unary({
    summary: "Makes the copy the volume, and fences the old one.",
    input: z.object({ volumeId: identifier, generation }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
};

/** The operations of {@link MigrateFacet}. */
export const migrateOperations: OperationsOf<MigrateFacet> = {
  startMigration: unary({
    summary: "Begins to move a volume to another pool.",
    input: z.object({ volumeId: identifier, targetPool: identifier }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"],
  }),
  migrationStatus: unary({
    summary: "Tells how far the move has come.",
    input: volumeRef,
    output: replicationStatus,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  pivotMigration: unary({
    summary: "Switches to the target.",
    input: volumeRef,
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  cancelMigration: unary({
    summary: "Ends a move and leaves the volume where it was.",
    input: volumeRef,
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
};
