/** What is known of a VM that is to run and does not. Times are milliseconds since 1970. */
export interface EndedVm {
  /** When it was last started; `undefined` when it never was. */
  readonly startedAt: number | undefined;
  /** How often in a row it ended soon after its start. */
  readonly quickEnds: number;
  /** Until when it is not to be started again; `undefined` when that was not decided for this end. */
  readonly restartAfter: number | undefined;
}

/** Start it now, or wait that long; and how often it has now ended soon. */
export type RestartDecision =
  | { readonly start: true; readonly quickEnds: number }
  | { readonly start: false; readonly waitMs: number; readonly quickEnds: number; readonly restartAfter: number };

/** A VM that ran for so long has recovered, in milliseconds: its next end begins with the first pause again. */
const recoveredMs = 60_000;
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;

/**
 * Whether a VM that ended is started again now. One that ran well is; one that ends soon after each start waits a second before the next, and
 * twice as long each time, up to a minute. Pure.
 */
export function decideRestart({ startedAt, quickEnds, restartAfter }: EndedVm, now: number): RestartDecision {
  if (startedAt === undefined) return { start: true, quickEnds };
  if (restartAfter !== undefined) {
    return now >= restartAfter
      ? { start: true, quickEnds }
      : { start: false, waitMs: restartAfter - now, quickEnds, restartAfter };
  }
  if (now - startedAt >= recoveredMs) return { start: true, quickEnds: 0 };
  const waitMs = Math.min(firstPauseMs * 2 ** quickEnds, longestPauseMs);
  return { start: false, waitMs, quickEnds: quickEnds + 1, restartAfter: now + waitMs };
}
