import { VdcError } from "@vdc-os/core";
import type { CapacityAlarm, PoolCapacity } from "@vdc-os/core/storage/v1";

/** What is known of a pool's space, in bytes. */
export interface PoolUsage {
  /** Size of the file system. */
  readonly fileSystemBytes: number;
  /** What its file system still has for us. */
  readonly fileSystemFreeBytes: number;
  readonly allocatedBytes: number;
  readonly provisionedBytes: number;
}

/** What the pool's config says of its space. */
export interface PoolLimits {
  readonly capacityBytes: number | undefined;
  readonly maxOverSubscription: number;
  readonly reservedBytes: number;
  /** Fractions of the capacity. */
  readonly alarmThresholds: readonly number[];
  readonly outOfSpace: "pause" | "fail";
}

/** Below this a pool counts as full: the next allocation of a volume may fail. */
export const fullBytes: number = 1024 * 1024;

/** A pool's space and what is wrong with it. A pure function of what was measured. */
export function poolCapacityOf(usage: PoolUsage, limits: PoolLimits): PoolCapacity {
  const totalBytes = Math.min(limits.capacityBytes ?? Number.MAX_SAFE_INTEGER, usage.fileSystemBytes);
  const usable = Math.max(0, totalBytes - limits.reservedBytes);
  const freeBytes = Math.max(0, Math.min(usable - usage.allocatedBytes, usage.fileSystemFreeBytes));
  const alarms: CapacityAlarm[] = [];
  // What others keep on the file system leaves as little for us as what we keep there.
  const used = usable === 0 ? 1 : (usable - freeBytes) / usable;
  const provisioned = usable === 0 ? 0 : usage.provisionedBytes / usable;
  for (const threshold of limits.alarmThresholds) {
    if (used >= threshold) {
      alarms.push({
        kind: "allocated",
        threshold,
        value: used,
        message: `${percent(used)} of ${usable} bytes are used: past ${percent(threshold)}`,
      });
    }
    const limit = threshold * limits.maxOverSubscription;
    if (provisioned >= limit) {
      alarms.push({
        kind: "provisioned",
        threshold: limit,
        value: provisioned,
        message: `volumes of ${usage.provisionedBytes} bytes were promised on ${usable}: past ${percent(limit)}`,
      });
    }
  }
  if (freeBytes < fullBytes) {
    alarms.push({
      kind: "outOfSpace",
      threshold: 1,
      value: used,
      message: `${freeBytes} bytes are left: writes that need new space ${limits.outOfSpace === "pause" ? "wait" : "fail with ENOSPC"}`,
    });
  }
  return {
    totalBytes,
    freeBytes,
    allocatedBytes: usage.allocatedBytes,
    provisionedBytes: usage.provisionedBytes,
    reservedBytes: limits.reservedBytes,
    maxOverSubscription: limits.maxOverSubscription,
    alarms,
  };
}

/** Throws `RESOURCE_EXHAUSTED`, and names the numbers, when a pool can't promise this much more. */
export function assertCanPromise(additionalBytes: number, usage: PoolUsage, limits: PoolLimits): void {
  const { totalBytes, provisionedBytes, freeBytes } = poolCapacityOf(usage, limits);
  const limitBytes = Math.floor(Math.max(0, totalBytes - limits.reservedBytes) * limits.maxOverSubscription);
  const details = { additionalBytes, provisionedBytes, totalBytes, reservedBytes: limits.reservedBytes, limitBytes };
  if (additionalBytes > 0 && provisionedBytes + additionalBytes > limitBytes) {
    throw new VdcError(
      "RESOURCE_EXHAUSTED",
      `${additionalBytes} bytes more than the ${provisionedBytes} that are promised pass the pool's limit of ${limitBytes} (${totalBytes} less ${limits.reservedBytes} reserved, times ${limits.maxOverSubscription})`,
      { reason: "VDC_OVER_SUBSCRIPTION", details: { ...details, maxOverSubscription: limits.maxOverSubscription } },
    );
  }
  if (freeBytes < fullBytes) {
    throw new VdcError(
      "RESOURCE_EXHAUSTED",
      `the pool is full: ${freeBytes} bytes are left, and a new volume needs ${fullBytes}`,
      { reason: "VDC_OUT_OF_SPACE", details: { ...details, freeBytes } },
    );
  }
}

function percent(fraction: number): string {
  return `${Math.round(fraction * 1000) / 10} %`;
}
