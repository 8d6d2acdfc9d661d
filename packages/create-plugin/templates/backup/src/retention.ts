import type { RecoveryPoint, RetentionPolicy } from "@vdc-os/core/backup/v1";

const dayMs = 86_400_000;

/** Which day, week or month a moment is in, in UTC. */
const periods: Readonly<Record<"daily" | "weekly" | "monthly", (moment: number) => number>> = {
  daily: (moment) => Math.floor(moment / dayMs),
  // 1970-01-01 was a Thursday, and weeks begin on Mondays.
  weekly: (moment) => Math.floor((Math.floor(moment / dayMs) + 3) / 7),
  monthly: (moment) => new Date(moment).getUTCFullYear() * 12 + new Date(moment).getUTCMonth(),
};

/** The points of one subject, oldest first, that a policy keeps. */
export function keptBy(points: readonly RecoveryPoint[], policy: RetentionPolicy): ReadonlySet<RecoveryPoint> {
  const newest = points.toReversed();
  const kept = new Set(newest.slice(0, Math.max(1, policy.last ?? 0)));
  for (const rule of ["daily", "weekly", "monthly"] as const) {
    const seen = new Set<number>();
    for (const point of newest) {
      const period = periods[rule](point.createdAt);
      if (seen.has(period) || seen.size >= (policy[rule] ?? 0)) continue;
      seen.add(period);
      kept.add(point);
    }
  }
  return kept;
}
