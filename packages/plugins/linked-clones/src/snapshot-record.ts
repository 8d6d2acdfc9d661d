import { type OwnerStamp, ownerStamp } from "@vdc-os/core";
import { z } from "zod";

/** A snapshot as this provider knows it. Its id is the one that the provider underneath gave. */
export interface SnapshotRecord {
  readonly snapshotId: string;
  /** The caller's name. Free for others once the snapshot is kept only for its clones. */
  readonly name: string;
  /** Its name in the provider underneath. */
  readonly baseName: string;
  readonly volumeId: string;
  readonly owner?: OwnerStamp | undefined;
  readonly groupSnapshotId?: string | undefined;
  /** Nobody's any more, or never anybody's: it is there for the clones that read it, and goes with the last. */
  readonly kept?: boolean | undefined;
}

/** What the name of a snapshot leads to. */
export interface SnapshotNameRecord {
  readonly baseName: string;
  readonly volumeId: string;
  readonly owner?: OwnerStamp | undefined;
  /** Absent while it is being taken. */
  readonly snapshotId?: string | undefined;
}

/** One of a volume's snapshots, as its volume's list has it. */
export interface SnapshotOfVolume {
  readonly name: string;
  readonly kept?: boolean | undefined;
}

/** What the name of a group snapshot leads to. */
export interface GroupNameRecord {
  readonly baseName: string;
  readonly volumeIds: readonly string[];
  readonly owner?: OwnerStamp | undefined;
  /** Absent while it is being taken. */
  readonly groupSnapshotId?: string | undefined;
}

/** A group snapshot. */
export interface GroupRecord {
  readonly groupSnapshotId: string;
  readonly name: string;
  readonly snapshotIds: readonly string[];
}

/** Schema of {@link SnapshotRecord}. */
export const snapshotRecord: z.ZodType<SnapshotRecord> = z.object({
  snapshotId: z.string(),
  name: z.string(),
  baseName: z.string(),
  volumeId: z.string(),
  owner: ownerStamp.optional(),
  groupSnapshotId: z.string().optional(),
  kept: z.boolean().optional(),
});

/** Schema of {@link SnapshotNameRecord}. */
export const snapshotNameRecord: z.ZodType<SnapshotNameRecord> = z.object({
  baseName: z.string(),
  volumeId: z.string(),
  owner: ownerStamp.optional(),
  snapshotId: z.string().optional(),
});

/** Schema of {@link SnapshotOfVolume}. */
export const snapshotOfVolume: z.ZodType<SnapshotOfVolume> = z.object({
  name: z.string(),
  kept: z.boolean().optional(),
});

/** Schema of {@link GroupNameRecord}. */
export const groupNameRecord: z.ZodType<GroupNameRecord> = z.object({
  baseName: z.string(),
  volumeIds: z.array(z.string()),
  owner: ownerStamp.optional(),
  groupSnapshotId: z.string().optional(),
});

/** Schema of {@link GroupRecord}. */
export const groupRecord: z.ZodType<GroupRecord> = z.object({
  groupSnapshotId: z.string(),
  name: z.string(),
  snapshotIds: z.array(z.string()),
});
