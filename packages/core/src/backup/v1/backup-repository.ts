import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { identifier, nothing } from "../../contract/ownership.ts";
import { type Page, type PageRequest, pageOf, pageRequestShape } from "../../contract/page.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { unary } from "../../extension-point/operation.ts";
import { type Bytes, bytes } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import {
  type BackupRun,
  backupRun,
  type CreateRecoveryPoint,
  createRecoveryPoint,
  type RecoveryPoint,
  recoveryPoint,
  type Restore,
  type RestoredDisk,
  restore,
  restoredDisk,
} from "./recovery-point.ts";

/**
 * Which recovery points of a subject are kept: those that any of these rules keeps, and always the newest. Days, weeks (ISO 8601: from Monday) and
 * months are UTC's; of each that has points, the newest one is kept.
 */
export interface RetentionPolicy {
  /** That many newest points. */
  readonly last?: number;
  /** One of each of that many days, weeks or months, those without points not counted. */
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
}

/** Damage that a verification found. */
export interface Damage {
  /** The point that can't be restored wholly; absent for damage that no point depends on. */
  readonly recoveryPointId?: string;
  readonly diskId?: string;
  /** Where on the disk, as far as it can be told, and how much. */
  readonly offset?: Bytes;
  readonly length?: Bytes;
  readonly message: string;
}

/** What a verification looked at and found. */
export interface VerifyReport {
  readonly recoveryPoints: number;
  /** Chunks that were read and whose content is right. */
  readonly chunks: number;
  /** Their size, uncompressed. */
  readonly bytes: Bytes;
  /** At most 100. Empty when all is well. */
  readonly damages: readonly Damage[];
}

/** What a prune removed, or would remove. */
export interface PruneReport {
  readonly removed: readonly string[];
  readonly kept: number;
  /** What the repository has become smaller by. 0 for a dry run. */
  readonly freedBytes: Bytes;
}

/** What a repository holds. */
export interface RepositoryStatus {
  readonly repositoryId: string;
  readonly chunkBytes: Bytes;
  readonly recoveryPoints: number;
  /** The sum of all disks of all points, zeroes left out: what it would be without sharing and compression. */
  readonly dataBytes: Bytes;
  /** What it takes on disk. */
  readonly storedBytes: Bytes;
  readonly runs: readonly BackupRun[];
}

/**
 * Where recovery points are kept, and what moves data into and out of it. It reaches disks through the storage contract alone.
 *
 * - A point is there wholly or not at all, and does not change. It does not depend on other points: any can be restored, and any can be deleted.
 * - After `kill -9` at any instant, a repeated call finishes what was begun, and `sweep` removes what nobody repeats: snapshots, checkpoints,
 *   half-restored volumes.
 * - Long operations report progress, and end soon after they are cancelled; what they hold at storage providers is released.
 */
export interface BackupRepository {
  /** Attribute `repositoryId` names the repository. */
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  /**
   * Makes a recovery point, while the disks are in use. Fails with `FAILED_PRECONDITION` and the reason where a disk's provider can't give its content
   * of one moment, and with `ABORTED` while another run works on the subject.
   */
  createRecoveryPoint(input: CreateRecoveryPoint, context: OperationContext): Promise<RecoveryPoint>;
  getRecoveryPoint(input: { readonly recoveryPointId: string }, context: OperationContext): Promise<RecoveryPoint>;
  /** Oldest first. */
  listRecoveryPoints(
    input: PageRequest & { readonly subject?: string },
    context: OperationContext,
  ): Promise<Page<RecoveryPoint>>;
  /** Deleting what is absent succeeds. Its space comes back with the next `prune`. */
  deleteRecoveryPoint(input: { readonly recoveryPointId: string }, context: OperationContext): Promise<void>;
  /** Writes disks of a point into volumes. A repeated call finishes one that was interrupted, and returns what one that ended returned. */
  restore(input: Restore, context: OperationContext): Promise<{ readonly disks: readonly RestoredDisk[] }>;
  /** Reads all data of one point or of all, and holds it against its hashes. */
  verify(input: { readonly recoveryPointId?: string }, context: OperationContext): Promise<VerifyReport>;
  /** Deletes the points that a policy does not keep, of one subject or all, and gives back space that nothing uses. Without a policy it keeps all points. */
  prune(
    input: { readonly subject?: string; readonly keep?: RetentionPolicy; readonly dryRun?: boolean },
    context: OperationContext,
  ): Promise<PruneReport>;
  /** Removes what interrupted runs left at storage providers: snapshots, checkpoints and volumes that were being restored. */
  sweep(
    input: Record<never, never>,
    context: OperationContext,
  ): Promise<{ readonly runs: number; readonly volumes: number }>;
  status(input: Record<never, never>, context: OperationContext): Promise<RepositoryStatus>;
}

const pointRef = z.object({ recoveryPointId: identifier });
const count = z.int().min(0).max(100_000);

/** Schema of {@link RetentionPolicy}. */
export const retentionPolicy: z.ZodType<RetentionPolicy> = schemaOf<RetentionPolicy>()(
  z.object({
    last: count.exactOptional(),
    daily: count.exactOptional(),
    weekly: count.exactOptional(),
    monthly: count.exactOptional(),
  }),
);

const verifyReport = schemaOf<VerifyReport>()(
  z.object({
    recoveryPoints: z.int(),
    chunks: z.int(),
    bytes,
    damages: z.array(
      z.object({
        recoveryPointId: identifier.exactOptional(),
        diskId: z.string().exactOptional(),
        offset: bytes.exactOptional(),
        length: bytes.exactOptional(),
        message: z.string(),
      }),
    ),
  }),
);

const repositoryStatus = schemaOf<RepositoryStatus>()(
  z.object({
    repositoryId: z.string(),
    chunkBytes: bytes,
    recoveryPoints: z.int(),
    dataBytes: bytes,
    storedBytes: bytes,
    runs: z.array(backupRun),
  }),
);

/** The extension point for backup: recovery points of disks, and their restore. */
export const backupRepository: ExtensionPoint<BackupRepository> = defineExtensionPoint<BackupRepository>()({
  id: "vdc.backup",
  version: "1.0",
  summary: "Backup: recovery points of disks, kept in a repository, and their restore.",
  operations: {
    describe: describeOperation,
    createRecoveryPoint: unary({
      summary: "Makes a recovery point of disks that may be in use.",
      input: createRecoveryPoint,
      output: recoveryPoint,
      idempotent: true,
      errors: [
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "DATA_LOSS",
      ],
    }),
    getRecoveryPoint: unary({
      summary: "Returns a recovery point.",
      input: pointRef,
      output: recoveryPoint,
      idempotent: true,
      errors: ["NOT_FOUND", "DATA_LOSS"],
    }),
    listRecoveryPoints: unary({
      summary: "Lists recovery points by page, oldest first.",
      input: z.object({ ...pageRequestShape, subject: z.string().max(256).exactOptional() }),
      output: pageOf(recoveryPoint),
      idempotent: true,
      errors: ["ABORTED", "DATA_LOSS"],
    }),
    deleteRecoveryPoint: unary({
      summary: "Deletes a recovery point; deleting what is absent succeeds.",
      input: pointRef,
      output: nothing,
      idempotent: true,
      errors: ["ABORTED"],
    }),
    restore: unary({
      summary: "Writes disks of a recovery point into volumes.",
      input: restore,
      output: z.object({ disks: z.array(restoredDisk) }),
      idempotent: true,
      errors: [
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "DATA_LOSS",
      ],
    }),
    verify: unary({
      summary: "Reads data of recovery points, and tells what is damaged.",
      input: z.object({ recoveryPointId: identifier.exactOptional() }),
      output: verifyReport,
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    prune: unary({
      summary: "Deletes recovery points that a policy does not keep, and gives back space.",
      input: z.object({
        subject: z.string().max(256).exactOptional(),
        keep: retentionPolicy.exactOptional(),
        dryRun: z.boolean().exactOptional(),
      }),
      output: schemaOf<PruneReport>()(z.object({ removed: z.array(identifier), kept: z.int(), freedBytes: bytes })),
      idempotent: true,
      errors: ["RESOURCE_EXHAUSTED", "ABORTED", "DATA_LOSS"],
    }),
    sweep: unary({
      summary: "Removes what interrupted runs left at storage providers.",
      input: z.object({}),
      output: z.object({ runs: z.int(), volumes: z.int() }),
      idempotent: true,
      errors: ["ABORTED", "FAILED_PRECONDITION"],
    }),
    status: unary({
      summary: "Tells what the repository holds, and what works on it.",
      input: z.object({}),
      output: repositoryStatus,
      idempotent: true,
      errors: ["DATA_LOSS"],
    }),
  },
  facets: {},
});
