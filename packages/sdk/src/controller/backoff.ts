import type { Random } from "@vdc-os/core";

/** What {@link backoffDelay} works from. */
export interface BackoffOptions {
  /** How often it failed in a row, from 1. */
  readonly failures: number;
  /** About how long to wait after the first failure, in milliseconds. */
  readonly baseMs: number;
  /** At most how long to wait, in milliseconds. */
  readonly maxMs: number;
  readonly random: Random;
}

/** How long to wait after failures: doubling up to a limit, of which the upper half is random so that many keys do not retry at once. */
export function backoffDelay({ failures, baseMs, maxMs, random }: BackoffOptions): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(Math.max(failures, 1) - 1, 40));
  return full / 2 + (full / 2) * random.next();
}
