import type { RetentionPolicy } from "@vdc-os/core/backup/v1";
import type { MemoryPoint } from "./memory-vault.ts";

const dayMs = 86_400_000;

/** The period that a moment is in. */
export const memoryPeriods: Readonly<Record<"daily" | "weekly" | "monthly", (moment: number) => number>> = {
  daily: (moment) => Math.floor(moment / dayMs),
  // 1970-01-01 was a Thursday, and weeks begin on Mondays.
  weekly: (moment) => Math.floor((Math.floor(moment / dayMs) + 3) / 7),
  monthly: (moment) => new Date(moment).getUTCFullYear() * 12 + new Date(moment).getUTCMonth(),
};

/** The points of one subject, oldest first, that a policy keeps. */
export function keptBy(
  points: readonly MemoryPoint[],
  policy: RetentionPolicy | undefined,
  periods: typeof memoryPeriods = memoryPeriods,
): ReadonlySet<MemoryPoint> {
  if (policy === undefined) return new Set(points);
  const newest = points.toReversed();
  const kept = new Set(newest.slice(0, Math.max(1, policy.last ?? 0)));
  for (const rule of ["daily", "weekly", "monthly"] as const) {
    const seen = new Set<number>();
    for (const point of newest) {
      const period = periods[rule](point.point.createdAt);
      if (seen.has(period) || seen.size >= (policy[rule] ?? 0)) continue;
      seen.add(period);
      kept.add(point);
    }
  }
  return kept;
}
