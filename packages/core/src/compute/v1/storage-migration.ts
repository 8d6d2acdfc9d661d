import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { type Generation, generation, identifier, nothing } from "../../contract/ownership.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { unary } from "../../extension-point/operation.ts";
import { type Bytes, bytes } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type VolumeTransport, volumeTransport } from "../../storage/v1/index.ts";

/**
 * Where a disk's migration is.
 *
 * - `copying`: the source is the disk; the target is behind it.
 * - `ready`: the source is the disk; whatever the guest has written is on both.
 * - `done`: the target is the disk, and stands in the VM's spec. The source is not written to any more.
 * - `cancelled`, `failed`: the source is the disk, whole. The target is not written to any more, and is worth nothing.
 */
export type DiskMigrationState = "copying" | "ready" | "done" | "cancelled" | "failed";

/** The migration of a VM's disk. */
export interface DiskMigration {
  readonly migrationId: string;
  readonly diskId: string;
  readonly target: VolumeTransport;
  readonly state: DiskMigrationState;
  /** How much was copied of how much there is to copy. Writes of the guest may raise both. */
  readonly copiedBytes: Bytes;
  readonly totalBytes: Bytes;
  /** Why it `failed`. Empty otherwise. */
  readonly message: string;
}

/** Names a migration of a running VM's disk. */
export interface DiskMigrationRef {
  readonly vmId: string;
  /** The VM's. A lower one than was seen before is fenced. */
  readonly generation: Generation;
  readonly diskId: string;
  /** Chosen by the caller, and new for each migration of the disk: a call that comes late never meets another migration. */
  readonly migrationId: string;
}

/**
 * Facet `storageMigration` (Storage vMotion; `virDomainBlockCopy` of libvirt, `swap_volume` of Nova): a disk of a running VM moves to another
 * volume while the guest writes to it.
 *
 * At every moment exactly one volume is the disk, and each write that the guest was told of is on it. The moment of the switch is durable: whoever
 * dies around it, the VM's spec names the volume that is right. A VM that ends during the copying has its source; one that is started after the switch
 * has its target. The hypervisor remembers the last migration of each disk as long as it knows the VM.
 */
export interface StorageMigrationFacet {
  /**
   * Begins to copy. The target is attached for the VM's owner, at least as large as the disk, and used by nobody else; what it holds does not matter.
   * Calling it again returns how far the migration is, whatever became of it. A disk that another migration moves fails with `FAILED_PRECONDITION`.
   */
  startDiskMigration(
    input: DiskMigrationRef & { readonly target: VolumeTransport },
    context: OperationContext,
  ): Promise<DiskMigration>;
  /** Fails with `NOT_FOUND` for a migration that is not the disk's last one. */
  diskMigrationStatus(input: Omit<DiskMigrationRef, "generation">, context: OperationContext): Promise<DiskMigration>;
  /** Switches to the target. Needs `ready`; one that is `done` is a success. The guest stands still at its disk for that moment. */
  completeDiskMigration(input: DiskMigrationRef, context: OperationContext): Promise<DiskMigration>;
  /**
   * Stays with the source. When it returns, nothing is written to the target any more. One that has ended so, or never was, is a success, and can't
   * begin any more as long as it is the last one; one that is `done` fails with `FAILED_PRECONDITION`.
   */
  cancelDiskMigration(input: DiskMigrationRef, context: OperationContext): Promise<void>;
}

/** Facet `diskCopy`: copies a volume that nobody writes to, on the host. */
export interface DiskCopyFacet {
  /**
   * Copies the whole of the source over the target, which is at least as large; what reads as zeroes takes no space in a thin target. Both are attached
   * to this host, and no VM uses the target. Tells its progress. A copy that is cancelled, or whose host's runtime ended, writes nothing any more once
   * the call, or the opening of the runtime after it, has returned; the target is then worth nothing.
   */
  copyDisk(
    input: { readonly source: VolumeTransport; readonly target: VolumeTransport },
    context: OperationContext,
  ): Promise<void>;
}

/** Facet `diskResize`: a running guest learns that its disk has grown. Limits: `transports`, those that it can be done with. */
export interface DiskResizeFacet {
  /** Makes the guest see what the volume was grown to. A smaller size than it sees now fails with `OUT_OF_RANGE`, a transport that can't with `UNIMPLEMENTED`. */
  resizeDisk(
    input: {
      readonly vmId: string;
      readonly generation: Generation;
      readonly diskId: string;
      readonly capacityBytes: Bytes;
    },
    context: OperationContext,
  ): Promise<void>;
}

const diskShape = { vmId: identifier, diskId: identifier };
const migrationShape = { ...diskShape, generation, migrationId: identifier };

const diskMigration = schemaOf<DiskMigration>()(
  z.object({
    migrationId: identifier,
    diskId: identifier,
    target: volumeTransport,
    state: z.enum(["copying", "ready", "done", "cancelled", "failed"]),
    copiedBytes: bytes,
    totalBytes: bytes,
    message: z.string(),
  }),
);

/** The operations of {@link StorageMigrationFacet}. */
export const storageMigrationOperations: OperationsOf<StorageMigrationFacet> = {
  startDiskMigration: unary({
    summary: "Begins to copy a disk of a running VM to another volume.",
    input: z.object({ ...migrationShape, target: volumeTransport }),
    output: diskMigration,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS", "UNIMPLEMENTED", "ABORTED"],
  }),
  diskMigrationStatus: unary({
    summary: "Tells how far a disk's migration is.",
    input: z.object({ ...diskShape, migrationId: identifier }),
    output: diskMigration,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  completeDiskMigration: unary({
    summary: "Switches a disk to the volume that it was copied to.",
    input: z.object(migrationShape),
    output: diskMigration,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"],
  }),
  cancelDiskMigration: unary({
    summary: "Ends a disk's migration, and stays with its source.",
    input: z.object(migrationShape),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"],
  }),
};

/** The operations of {@link DiskCopyFacet}. */
export const diskCopyOperations: OperationsOf<DiskCopyFacet> = {
  copyDisk: unary({
    summary: "Copies a volume over another one, on the host.",
    input: z.object({ source: volumeTransport, target: volumeTransport }),
    output: nothing,
    idempotent: true,
    errors: ["FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"],
  }),
};

/** The operations of {@link DiskResizeFacet}. */
export const diskResizeOperations: OperationsOf<DiskResizeFacet> = {
  resizeDisk: unary({
    summary: "Tells a running guest that its disk has grown.",
    input: z.object({ ...diskShape, generation, capacityBytes: bytes }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "ABORTED"],
  }),
};
