import { type OwnerStamp, ownerStamp } from "@vdc-os/core";
import { z } from "zod";

/** A host on which a snapshot is read, and the socket that it is served on. */
export interface SnapshotReader {
  readonly host: string;
  readonly socket: string;
}

/** A snapshot, as its volume's record holds it: the layer `<snapshotId>.qcow2`. */
export interface SnapshotRecord {
  readonly snapshotId: string;
  readonly name: string;
  readonly createdAt: number;
  /** The volume's virtual size at that moment. */
  readonly capacityBytes: number;
  readonly owner?: OwnerStamp | undefined;
  /** The layer that it lies on. `undefined` for the lowest of the volume. */
  readonly below?: string | undefined;
  /** It is gone for everybody else, and goes from the disk when its content has been merged into what lies on it. */
  readonly deleted?: boolean | undefined;
  /** The group snapshot that it is part of. */
  readonly group?: string | undefined;
  readonly readers?: readonly SnapshotReader[] | undefined;
}

/** A change of a volume's layers that was begun: what the files show says how far it came. */
export type PendingChange =
  | { readonly kind: "snapshot"; readonly snapshot: SnapshotRecord }
  | { readonly kind: "revert"; readonly snapshotId: string };

/** A moment since which changes are tracked, in `<checkpoint>.changes`. */
export interface CheckpointRecord {
  readonly checkpoint: string;
  readonly name: string;
  readonly createdAt: number;
}

const size = z.int().nonnegative();

/** Schema of {@link SnapshotRecord}. */
export const snapshotRecord: z.ZodType<SnapshotRecord> = z.object({
  snapshotId: z.string(),
  name: z.string(),
  createdAt: z.number(),
  capacityBytes: size,
  owner: ownerStamp.optional(),
  below: z.string().optional(),
  deleted: z.boolean().optional(),
  group: z.string().optional(),
  readers: z.array(z.object({ host: z.string(), socket: z.string() })).optional(),
});

/** Schema of {@link PendingChange}. */
export const pendingChange: z.ZodType<PendingChange> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("snapshot"), snapshot: snapshotRecord }),
  z.object({ kind: z.literal("revert"), snapshotId: z.string() }),
]);

/** Schema of {@link CheckpointRecord}. */
export const checkpointRecord: z.ZodType<CheckpointRecord> = z.object({
  checkpoint: z.string(),
  name: z.string(),
  createdAt: z.number(),
});
