import { z } from "zod";
import { keyRefPattern } from "./key-reference.ts";

/** Config of the plugin: one pool. */
export interface ThinProvisioningConfig {
  /** The provider's name, and the pool's. At most 32 characters: a process and a socket on each host are named after it. */
  readonly name: string;
  /** The pool's folder. It describes itself: it can be moved while the pool is closed, and opened again. Every host must see it at this path. */
  readonly directory: string;
  /** What volumes may take in all. Defaults to the size of the folder's file system. */
  readonly capacityBytes?: number | undefined;
  /** How far the virtual sizes may exceed the capacity. Defaults to 4. */
  readonly maxOverSubscription?: number | undefined;
  /** Kept back from volumes. Defaults to 0. */
  readonly reservedBytes?: number | undefined;
  /** What becomes of a write that finds no space: it waits until there is some (`pause`, the default), or fails with `ENOSPC` (`fail`). */
  readonly outOfSpace?: "pause" | "fail" | undefined;
  /** Fractions of the capacity at which an alarm is raised. Defaults to 0.75 and 0.9. */
  readonly alarmThresholds?: readonly number[] | undefined;
  /** The hosts that see the folder. Defaults to all. */
  readonly accessibleHosts?: readonly string[] | undefined;
  /**
   * The key of volumes that name none: a secret's name in the secret store, or `<name>@<version>`. With it everything that is made in the pool is encrypted. Defaults to none: then a
   * volume is encrypted that asks for it.
   */
  readonly keyRef?: string | undefined;
  /** What trying a key costs, in rounds of PBKDF2, for every image that is opened. Defaults to 1000, since keys are random; one that a person can remember needs 600,000. */
  readonly keyIterations?: number | undefined;
  /** Uid of the datacenter that the storage processes are stamped with. Defaults to the pool's own id. */
  readonly datacenter?: string | undefined;
}

/** Schema of {@link ThinProvisioningConfig}. */
export const thinProvisioningConfig: z.ZodType<ThinProvisioningConfig> = z.object({
  name: z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,30}[a-z0-9])?$/),
  directory: z.string().min(1),
  capacityBytes: z.int().positive().optional(),
  maxOverSubscription: z.number().min(0.01).max(1000).optional(),
  reservedBytes: z.int().nonnegative().optional(),
  outOfSpace: z.enum(["pause", "fail"]).optional(),
  alarmThresholds: z.array(z.number().positive().max(1)).max(8).optional(),
  accessibleHosts: z.array(z.string().min(1)).optional(),
  keyRef: z.string().regex(keyRefPattern).optional(),
  keyIterations: z.int().min(1000).max(10_000_000).optional(),
  datacenter: z.string().min(1).optional(),
});
