import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { identifier, nothing, type OwnerStamp, objectName, ownerStamp } from "../../contract/ownership.ts";
import { type Page, type PageRequest, pageOf, pageRequestShape } from "../../contract/page.ts";
import type { ObjectReference } from "../../error/vdc-error.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { unary } from "../../extension-point/operation.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type VolumeTransport, volumeTransport } from "./volume.ts";

/** The content of a volume at one moment. */
export interface Snapshot {
  readonly snapshotId: string;
  /** The caller's name, unique in the provider while the snapshot exists. */
  readonly name: string;
  readonly volumeId: string;
  /** The volume's virtual size at that moment. */
  readonly capacityBytes: Bytes;
  /** What deleting it would give back. */
  readonly exclusiveBytes: Bytes;
  readonly createdAt: Timestamp;
  /** Whether clones can be made from it now. */
  readonly ready: boolean;
  readonly owner?: OwnerStamp;
  /** The group snapshot that it is part of. */
  readonly groupSnapshotId?: string;
}

/** Input of `snapshots.createSnapshot`. */
export interface CreateSnapshot {
  /** Makes the call idempotent, as a volume's: the same name, volume and owner returns the same snapshot, which keeps the content of the first call. */
  readonly name: string;
  readonly volumeId: string;
  readonly owner?: OwnerStamp;
}

/** How a snapshot's content is read on a host. Writes are refused. */
export interface SnapshotAttachment {
  readonly snapshotId: string;
  readonly host: string;
  readonly transport: VolumeTransport;
}

/**
 * Facet `snapshots` (CSI CREATE_DELETE_SNAPSHOT, Cinder snapshots and revert). Crash-consistent: a snapshot holds every write that was
 * acknowledged before it, and of those that were not, each wholly or not at all; also while the volume is attached. Limits: `maxSnapshots` (of a volume;
 * 0 for no limit; one more fails with `RESOURCE_EXHAUSTED`), `restoreOnlyLatest`, `revert` and `read` (true unless told: where one is false,
 * `revertToSnapshot` or `attachSnapshot` fails with `UNIMPLEMENTED`).
 */
export interface SnapshotsFacet {
  createSnapshot(input: CreateSnapshot, context: OperationContext): Promise<Snapshot>;
  /**
   * Deleting what is absent succeeds. A snapshot that has overlays or is being read fails with `FAILED_PRECONDITION`, and names them or the hosts. So may one that has linked
   * clones; or it is kept for them, as a volume is: its name is free, nobody sees it, and it goes with the last of them.
   */
  deleteSnapshot(input: { readonly snapshotId: string }, context: OperationContext): Promise<void>;
  getSnapshot(input: { readonly snapshotId: string }, context: OperationContext): Promise<Snapshot>;
  /** In order of name. With `ownerDatacenter`, those that this datacenter stamped. With `name`, the one of that name. */
  listSnapshots(
    input: PageRequest & { readonly volumeId?: string; readonly ownerDatacenter?: string; readonly name?: string },
    context: OperationContext,
  ): Promise<Page<Snapshot>>;
  /**
   * Makes a snapshot's content readable on a host, for a backup or a copy; the volume may be attached elsewhere, and written to, meanwhile. Repeating it
   * returns the same. It ends with `detachSnapshot` alone; until then the snapshot can't be deleted.
   */
  attachSnapshot(
    input: { readonly snapshotId: string; readonly host: string },
    context: OperationContext,
  ): Promise<SnapshotAttachment>;
  /** Ends what `attachSnapshot` began. Ending what is absent succeeds. */
  detachSnapshot(
    input: { readonly snapshotId: string; readonly host: string },
    context: OperationContext,
  ): Promise<void>;
  /**
   * Makes the volume's content and size those of the snapshot. Whatever `revertBlockers` names makes it fail with `FAILED_PRECONDITION`: an attachment, overlays and
   * clones of the volume itself; with `restoreOnlyLatest`, later snapshots. Otherwise later snapshots stay. Another volume's snapshot is `NOT_FOUND`, here as there. The checkpoints of changed blocks don't survive it intact.
   */
  revertToSnapshot(
    input: { readonly volumeId: string; readonly snapshotId: string },
    context: OperationContext,
  ): Promise<void>;
  /** What prevents a revert now. Empty when nothing does. */
  revertBlockers(
    input: { readonly volumeId: string; readonly snapshotId: string },
    context: OperationContext,
  ): Promise<readonly ObjectReference[]>;
}

/** Schema of {@link Snapshot}. */
export const snapshot: z.ZodType<Snapshot> = schemaOf<Snapshot>()(
  z.object({
    snapshotId: identifier,
    name: z.string(),
    volumeId: identifier,
    capacityBytes: bytes,
    exclusiveBytes: bytes,
    createdAt: timestamp,
    ready: z.boolean(),
    owner: ownerStamp.exactOptional(),
    groupSnapshotId: identifier.exactOptional(),
  }),
);

/** Schema of {@link SnapshotAttachment}. */
export const snapshotAttachment: z.ZodType<SnapshotAttachment> = schemaOf<SnapshotAttachment>()(
  z.object({ snapshotId: identifier, host: z.string(), transport: volumeTransport }),
);

const snapshotRef = z.object({ snapshotId: identifier });
const snapshotOnHost = z.object({ snapshotId: identifier, host: z.string() });
const revert = z.object({ volumeId: identifier, snapshotId: identifier });

/** The operations of {@link SnapshotsFacet}. */
export const snapshotsOperations: OperationsOf<SnapshotsFacet> = {
  createSnapshot: unary({
    summary: "Takes a crash-consistent snapshot of a volume.",
    input: schemaOf<CreateSnapshot>()(
      z.object({ name: objectName, volumeId: identifier, owner: ownerStamp.exactOptional() }),
    ),
    output: snapshot,
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
  deleteSnapshot: unary({
    summary: "Deletes a snapshot; deleting what is absent succeeds.",
    input: snapshotRef,
    output: nothing,
    idempotent: true,
    errors: ["FAILED_PRECONDITION", "ABORTED", "PERMISSION_DENIED"],
  }),
  getSnapshot: unary({
    summary: "Returns a snapshot.",
    input: snapshotRef,
    output: snapshot,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  listSnapshots: unary({
    summary: "Lists snapshots, of one volume or all, by page.",
    input: z.object({
      ...pageRequestShape,
      volumeId: identifier.exactOptional(),
      ownerDatacenter: z.string().exactOptional(),
      name: z.string().exactOptional(),
    }),
    output: pageOf(snapshot),
    idempotent: true,
    errors: ["ABORTED"],
  }),
  attachSnapshot: unary({
    summary: "Makes a snapshot's content readable on a host.",
    input: snapshotOnHost,
    output: snapshotAttachment,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "ABORTED", "UNIMPLEMENTED"],
  }),
  detachSnapshot: unary({
    summary: "Ends the reading of a snapshot on a host; ending what is absent succeeds.",
    input: snapshotOnHost,
    output: nothing,
    idempotent: true,
    errors: ["ABORTED"],
  }),
  revertToSnapshot: unary({
    summary: "Makes a volume's content that of one of its snapshots.",
    input: revert,
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "ABORTED", "UNIMPLEMENTED", "PERMISSION_DENIED"],
  }),
  revertBlockers: unary({
    summary: "Tells what prevents a revert.",
    input: revert,
    output: z.array(z.object({ kind: z.string(), name: z.string() })),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
