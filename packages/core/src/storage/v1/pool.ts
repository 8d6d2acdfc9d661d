import { z } from "zod";
import { type FencingStrength, fencingStrength } from "../../contract/ownership.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";

/**
 * A pool's space (capacity model of Cinder). Guaranteed: `freeBytes` is never more than what new data can really take; a create or resize that
 * would promise more than `(totalBytes - reservedBytes) * maxOverSubscription` fails with `RESOURCE_EXHAUSTED`.
 */
export interface PoolCapacity {
  readonly totalBytes: Bytes;
  /** What new data can still take. */
  readonly freeBytes: Bytes;
  /** What volumes and snapshots take now. */
  readonly allocatedBytes: Bytes;
  /** The sum of the volumes' virtual sizes. */
  readonly provisionedBytes: Bytes;
  /** Kept back from volumes. */
  readonly reservedBytes: Bytes;
  /** How far the virtual sizes may exceed the total: 1 forbids over-provisioning. 0 when the provider sets no limit: then only policies do. */
  readonly maxOverSubscription: number;
  /** Space for the pool's own tables, where it can run out before that for data (a thin LVM pool). Absent where both are one. */
  readonly metadata?: PoolMetadataSpace;
  /** Since when the numbers could not be read anew; absent when they are of now. Nothing is placed on stale numbers. */
  readonly staleSince?: Timestamp;
  /** What is wrong now: thresholds passed, space that ran out. Empty when nothing is. The highest threshold passed of a kind is enough. */
  readonly alarms: readonly CapacityAlarm[];
}

/** Space for a pool's own tables. */
export interface PoolMetadataSpace {
  readonly totalBytes: Bytes;
  readonly usedBytes: Bytes;
}

/** A threshold that a pool has passed. */
export interface CapacityAlarm {
  /** `allocated` and `metadata` measure what is used, `provisioned` what is promised; `outOfSpace`: writes that need new space fail now, or wait. */
  readonly kind: "allocated" | "provisioned" | "metadata" | "outOfSpace";
  /** The fraction of the total at which the alarm was set. */
  readonly threshold: number;
  /** The fraction of the total now. */
  readonly value: number;
  readonly message: string;
}

/**
 * Whether a volume or the whole pool is well. `degraded`: everything works, less safely or slowly, or soon not; `abnormal`: reads or writes fail, or
 * would, when tried. For a volume, the pool's troubles count as far as they concern it.
 */
export interface VolumeHealth {
  readonly condition: "healthy" | "degraded" | "abnormal";
  /** For people: one sentence. */
  readonly message: string;
  /** Why it is not healthy, for programs. Absent or empty when it is healthy, and where the provider does not tell. */
  readonly reasons?: readonly HealthReason[];
}

/**
 * A reason for not being healthy.
 *
 * - `outOfSpace`: a write that needs new space fails or waits. `nearlyFull`: a threshold is passed.
 * - `corrupt`: the content or its tables are known to be damaged. `parentMissing`: what it reads from is gone.
 * - `unreachable`: the backing storage does not answer. `stale`: what is told is old.
 * - `redundancyLost`: fewer copies than there should be. `pathLost`: the way to its owner's host is broken.
 * - `other`: see the message.
 */
export interface HealthReason {
  readonly code:
    | "outOfSpace"
    | "nearlyFull"
    | "corrupt"
    | "parentMissing"
    | "unreachable"
    | "stale"
    | "redundancyLost"
    | "pathLost"
    | "other";
  readonly message: string;
}

/**
 * The well-known names in a storage provider's `describe().attributes`: what placement and storage policies match on. All are optional: one that
 * is absent is not known, and a policy that asks for it is not satisfied. A provider may have others of its own.
 */
export interface StorageAttributes {
  /** The pool's name, which `capacity` takes too. */
  readonly pool?: string;
  /** How strongly old owners of served volumes are kept out. Required of every provider. */
  readonly fencing?: FencingStrength;
  /** What the data lies on: `nvme`, `ssd`, `hdd`, `memory`, `mixed`, or a word of the vendor's. */
  readonly media?: string;
  /** Whether a volume takes space only for what was written. */
  readonly thin?: boolean;
  /** How many failures of a disk or node the data survives: 0 for a single disk. */
  readonly redundancy?: number;
  /** Whether everything that reaches the media is encrypted, whatever a volume asks for. */
  readonly encryptedAtRest?: boolean;
  /** What becomes of a write that finds no space: it fails with ENOSPC (`report`), or waits until there is (`pause`). */
  readonly outOfSpace?: "report" | "pause";
  /** What fails together with this pool, in the words of the hosts' `failureDomain`. */
  readonly failureDomain?: string;
  /** The hosts that reach the pool. Absent when all do. A zone or a rack is told as its hosts: hosts carry the failure domains. */
  readonly accessibleHosts?: readonly string[];
}

/** Schema of {@link PoolCapacity}. */
export const poolCapacity: z.ZodType<PoolCapacity> = schemaOf<PoolCapacity>()(
  z.object({
    totalBytes: bytes,
    freeBytes: bytes,
    allocatedBytes: bytes,
    provisionedBytes: bytes,
    reservedBytes: bytes,
    maxOverSubscription: z.number().nonnegative(),
    metadata: z.object({ totalBytes: bytes, usedBytes: bytes }).exactOptional(),
    staleSince: timestamp.exactOptional(),
    alarms: z.array(
      z.object({
        kind: z.enum(["allocated", "provisioned", "metadata", "outOfSpace"]),
        threshold: z.number(),
        value: z.number(),
        message: z.string(),
      }),
    ),
  }),
);

/** Schema of {@link VolumeHealth}. */
export const volumeHealth: z.ZodType<VolumeHealth> = schemaOf<VolumeHealth>()(
  z.object({
    condition: z.enum(["healthy", "degraded", "abnormal"]),
    message: z.string(),
    reasons: z
      .array(
        z.object({
          code: z.enum([
            "outOfSpace",
            "nearlyFull",
            "corrupt",
            "parentMissing",
            "unreachable",
            "stale",
            "redundancyLost",
            "pathLost",
            "other",
          ]),
          message: z.string(),
        }),
      )
      .exactOptional(),
  }),
);

/** Schema of {@link StorageAttributes}. Attributes that are not well-known are left out. */
export const storageAttributes: z.ZodType<StorageAttributes> = schemaOf<StorageAttributes>()(
  z.object({
    pool: z.string().exactOptional(),
    fencing: fencingStrength.exactOptional(),
    media: z.string().exactOptional(),
    thin: z.boolean().exactOptional(),
    redundancy: z.int().nonnegative().exactOptional(),
    encryptedAtRest: z.boolean().exactOptional(),
    outOfSpace: z.enum(["report", "pause"]).exactOptional(),
    failureDomain: z.string().exactOptional(),
    accessibleHosts: z.array(z.string()).exactOptional(),
  }),
);
