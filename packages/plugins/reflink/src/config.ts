import { z } from "zod";

/** Config of the plugin: one pool. */
export interface ReflinkConfig {
  /** The provider's name, and the pool's. */
  readonly name: string;
  /** The pool's folder. Every host must see it at this path. */
  readonly directory: string;
  /** What volumes may take in all. Defaults to the size of the folder's file system. */
  readonly capacityBytes?: number | undefined;
  /** How far the virtual sizes may exceed the capacity. Defaults to 4. */
  readonly maxOverSubscription?: number | undefined;
  /** Kept back from volumes. Defaults to 0. */
  readonly reservedBytes?: number | undefined;
  /** Fractions of the capacity at which an alarm is raised. Defaults to 0.75 and 0.9. */
  readonly alarmThresholds?: readonly number[] | undefined;
  /** The hosts that see the folder. Defaults to all. */
  readonly accessibleHosts?: readonly string[] | undefined;
}

/** Schema of {@link ReflinkConfig}. */
export const reflinkConfig: z.ZodType<ReflinkConfig> = z.object({
  name: z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/),
  directory: z.string().min(1),
  capacityBytes: z.int().positive().optional(),
  maxOverSubscription: z.number().min(0.01).max(1000).optional(),
  reservedBytes: z.int().nonnegative().optional(),
  alarmThresholds: z.array(z.number().positive().max(1)).max(8).optional(),
  accessibleHosts: z.array(z.string().min(1)).optional(),
});
