import { type OwnerStamp, ownerStamp } from "@vdc-os/core";
import type { AccessMode, VolumeSource } from "@vdc-os/core/storage/v1";
import { z } from "zod";

/** A volume, as it is kept in its folder. */
export interface VolumeRecord {
  readonly volumeId: string;
  readonly name: string;
  readonly capacityBytes: number;
  readonly createdAt: number;
  readonly owner?: OwnerStamp | undefined;
  readonly accessibleHosts?: readonly string[] | undefined;
  readonly source?: VolumeSource | undefined;
  /** What it was asked for with: a create is repeated only by the same. */
  readonly request: string;
  /** The highest attachment generation that was seen. */
  readonly highWater: number;
  readonly attached?: { readonly host: string; readonly access: AccessMode } | undefined;
  /** What it had allocated when it last came to share its blocks with others. */
  readonly sharedBytes: number;
}

/** A snapshot, as it is kept in its folder. */
export interface SnapshotRecord {
  readonly snapshotId: string;
  readonly name: string;
  readonly volumeId: string;
  readonly capacityBytes: number;
  readonly createdAt: number;
  readonly owner?: OwnerStamp | undefined;
  /** The hosts on which it is read. */
  readonly readers: readonly string[];
}

const volumeSource = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("volume"), volumeId: z.string() }),
  z.object({ kind: z.literal("snapshot"), snapshotId: z.string() }),
]);

/** Schema of {@link VolumeRecord}. */
export const volumeRecord: z.ZodType<VolumeRecord> = z.object({
  volumeId: z.string(),
  name: z.string(),
  capacityBytes: z.int(),
  createdAt: z.number(),
  owner: ownerStamp.optional(),
  accessibleHosts: z.array(z.string()).optional(),
  source: volumeSource.optional(),
  request: z.string(),
  highWater: z.int(),
  attached: z.object({ host: z.string(), access: z.enum(["readWrite", "readOnly"]) }).optional(),
  sharedBytes: z.int(),
});

/** Schema of {@link SnapshotRecord}. */
export const snapshotRecord: z.ZodType<SnapshotRecord> = z.object({
  snapshotId: z.string(),
  name: z.string(),
  volumeId: z.string(),
  capacityBytes: z.int(),
  createdAt: z.number(),
  owner: ownerStamp.optional(),
  readers: z.array(z.string()),
});
