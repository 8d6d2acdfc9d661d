import type { RetentionPolicy } from "@vdc-os/core/backup/v1";

const dayMs = 24 * 60 * 60 * 1000;

/** The day of a moment, in UTC, counted from 1970-01-01. */
function dayOf(moment: number): number {
  return Math.floor(moment / dayMs);
}

/** The week, from Monday to Sunday. 1970-01-01 was a Thursday. */
function weekOf(moment: number): number {
  return Math.floor((dayOf(moment) + 3) / 7);
}

function monthOf(moment: number): number {
  const date = new Date(moment);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

/** The points of one subject that a policy keeps: those that any of its rules keeps, and the newest always. Without rules it keeps all. */
export function choosePoints<P extends { readonly createdAt: number }>(
  points: readonly P[],
  policy: RetentionPolicy,
): ReadonlySet<P> {
  const newestFirst = points.toSorted((a, b) => b.createdAt - a.createdAt);
  const { last, daily, weekly, monthly } = policy;
  if ([last, daily, weekly, monthly].every((rule) => rule === undefined)) return new Set(points);
  const kept = new Set(newestFirst.slice(0, Math.max(1, last ?? 0)));
  const rules: readonly (readonly [number | undefined, (moment: number) => number])[] = [
    [daily, dayOf],
    [weekly, weekOf],
    [monthly, monthOf],
  ];
  for (const [count = 0, periodOf] of rules) {
    const periods = new Set<number>();
    for (const point of newestFirst) {
      const period = periodOf(point.createdAt);
      if (periods.has(period)) continue;
      if (periods.size === count) break;
      periods.add(period);
      kept.add(point);
    }
  }
  return kept;
}
