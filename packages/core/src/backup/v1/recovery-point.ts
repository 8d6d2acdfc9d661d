import { z } from "zod";
import { type Generation, generation, identifier, objectName } from "../../contract/ownership.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";

/** A disk that is backed up: a volume of a storage provider, under the name that it has in the recovery point. */
export interface BackupDisk {
  /** Names the disk within its subject, such as `disk0`. */
  readonly diskId: string;
  /** The storage provider's name. */
  readonly storage: string;
  readonly volumeId: string;
  /**
   * Needed only where the provider has no snapshots: the volume, which nobody may have attached then, is attached read-only in this generation. It is
   * higher than any before, and the caller accounts for it.
   */
  readonly generation?: Generation;
}

/** Input of `createRecoveryPoint`. */
export interface CreateRecoveryPoint {
  /** Unique in the subject. Makes the call idempotent: repeated, it goes on with a run that was interrupted, or returns the point that is there. */
  readonly name: string;
  /** What the disks belong to, such as a VM. Recovery points of one subject follow each other, and are kept or pruned together. */
  readonly subject: string;
  /** All of one moment, unless `consistency` says otherwise. */
  readonly disks: readonly BackupDisk[];
  /** `auto` reads what has changed since the point before where that is known, `full` reads everything. Defaults to `auto`. */
  readonly mode?: "auto" | "full";
  /** `group` fails with `FAILED_PRECONDITION` where the disks can't be had of one moment; `perDisk` takes them one after the other then. Defaults to `group`. */
  readonly consistency?: "group" | "perDisk";
  /** Facts for whoever reads it later. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** How a disk was read: `full`, only what had `changed`, or everything again to be `compared` because changes are not tracked. */
export type DiskReading = "full" | "changed" | "compared";

/** A disk in a recovery point. */
export interface RecoveryPointDisk {
  readonly diskId: string;
  readonly storage: string;
  readonly volumeId: string;
  /** Virtual size at that moment. */
  readonly capacityBytes: Bytes;
  /** What of it is not zero. */
  readonly dataBytes: Bytes;
  readonly reading: DiskReading;
  /** Why it was not read by its changes alone. */
  readonly because?: string;
  /** What was read of the disk. */
  readonly readBytes: Bytes;
  /** What of that the repository did not have yet. */
  readonly newBytes: Bytes;
  /** What that took in the repository, compressed, lists of what the disk consists of included. */
  readonly storedBytes: Bytes;
}

/** A subject's disks at one moment. */
export interface RecoveryPoint {
  readonly recoveryPointId: string;
  readonly name: string;
  readonly subject: string;
  /** The moment: when the snapshot was taken. */
  readonly createdAt: Timestamp;
  /** `group` when the disks are of one moment, or there is one only; else `perDisk`. */
  readonly consistency: "group" | "perDisk";
  readonly disks: readonly RecoveryPointDisk[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Where a disk is restored to. */
export type RestoreTarget =
  /** A volume that does not exist yet. Another one of that name fails with `ALREADY_EXISTS`. */
  | {
      readonly kind: "new";
      readonly storage: string;
      readonly name: string;
      readonly parameters?: Readonly<Record<string, string>>;
    }
  /** A volume that nobody has attached, at least as large. It is overwritten, attached in this generation, which the caller accounts for. */
  | { readonly kind: "volume"; readonly storage: string; readonly volumeId: string; readonly generation: Generation };

/** Input of `restore`. */
export interface Restore {
  readonly recoveryPointId: string;
  /** Which disks, and where to. One, some or all. */
  readonly disks: readonly { readonly diskId: string; readonly target: RestoreTarget }[];
}

/** A disk that was restored. The volume is detached. */
export interface RestoredDisk {
  readonly diskId: string;
  readonly storage: string;
  readonly volumeId: string;
  readonly capacityBytes: Bytes;
  /** The attachment generation that was used: the next owner takes a higher one. */
  readonly generation: Generation;
  /** What was written: zeroes are left out in a new volume. */
  readonly writtenBytes: Bytes;
}

/** A run that has not ended: it works now, or was interrupted and waits to be repeated or swept. */
export interface BackupRun {
  readonly name: string;
  readonly subject: string;
  readonly startedAt: Timestamp;
  readonly state: "working" | "interrupted";
  readonly diskIds: readonly string[];
  /** What has been read, what of it was new, and what that took, since the process began to work on it. */
  readonly readBytes: Bytes;
  readonly newBytes: Bytes;
  readonly storedBytes: Bytes;
}

/** Schema of {@link BackupDisk}. */
export const backupDisk: z.ZodType<BackupDisk> = schemaOf<BackupDisk>()(
  z.object({
    diskId: objectName,
    storage: z.string().min(1),
    volumeId: identifier,
    generation: generation.exactOptional(),
  }),
);

const labels = z.record(z.string().max(256), z.string().max(1024));

/** Schema of {@link CreateRecoveryPoint}. */
export const createRecoveryPoint: z.ZodType<CreateRecoveryPoint> = schemaOf<CreateRecoveryPoint>()(
  z.object({
    name: objectName,
    subject: z.string().min(1).max(256),
    disks: z.array(backupDisk).min(1).max(256),
    mode: z.enum(["auto", "full"]).exactOptional(),
    consistency: z.enum(["group", "perDisk"]).exactOptional(),
    labels: labels.exactOptional(),
  }),
);

/** Schema of {@link RecoveryPointDisk}. */
export const recoveryPointDisk: z.ZodType<RecoveryPointDisk> = schemaOf<RecoveryPointDisk>()(
  z.object({
    diskId: objectName,
    storage: z.string(),
    volumeId: identifier,
    capacityBytes: bytes,
    dataBytes: bytes,
    reading: z.enum(["full", "changed", "compared"]),
    because: z.string().exactOptional(),
    readBytes: bytes,
    newBytes: bytes,
    storedBytes: bytes,
  }),
);

/** Schema of {@link RecoveryPoint}. */
export const recoveryPoint: z.ZodType<RecoveryPoint> = schemaOf<RecoveryPoint>()(
  z.object({
    recoveryPointId: identifier,
    name: z.string(),
    subject: z.string(),
    createdAt: timestamp,
    consistency: z.enum(["group", "perDisk"]),
    disks: z.array(recoveryPointDisk),
    labels: z.record(z.string(), z.string()),
  }),
);

const restoreTarget = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("new"),
    storage: z.string().min(1),
    name: objectName,
    parameters: z.record(z.string(), z.string()).exactOptional(),
  }),
  z.object({ kind: z.literal("volume"), storage: z.string().min(1), volumeId: identifier, generation }),
]);

/** Schema of {@link Restore}. */
export const restore: z.ZodType<Restore> = schemaOf<Restore>()(
  z.object({
    recoveryPointId: identifier,
    disks: z
      .array(z.object({ diskId: objectName, target: restoreTarget }))
      .min(1)
      .max(256),
  }),
);

/** Schema of {@link RestoredDisk}. */
export const restoredDisk: z.ZodType<RestoredDisk> = schemaOf<RestoredDisk>()(
  z.object({
    diskId: objectName,
    storage: z.string(),
    volumeId: identifier,
    capacityBytes: bytes,
    generation,
    writtenBytes: bytes,
  }),
);

/** Schema of {@link BackupRun}. */
export const backupRun: z.ZodType<BackupRun> = schemaOf<BackupRun>()(
  z.object({
    name: z.string(),
    subject: z.string(),
    startedAt: timestamp,
    state: z.enum(["working", "interrupted"]),
    diskIds: z.array(z.string()),
    readBytes: bytes,
    newBytes: bytes,
    storedBytes: bytes,
  }),
);
