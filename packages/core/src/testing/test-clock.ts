import type { Clock } from "../context/clock.ts";

/** A clock that moves only when a test says so. */
export interface TestClock extends Clock {
  /**
   * Moves time forward, running every timer that comes due, in order of time; what each one wakes gets its turn
   * (promises and I/O that is ready) before the next.
   */
  advance(ms: number): Promise<void>;
  /** How many timers and sleeps are waiting. */
  readonly pending: number;
}

/** Options of {@link createTestClock}. */
export interface CreateTestClockOptions {
  /** Wall-clock time at the start, in milliseconds since 1970. Defaults to 2026-01-01T00:00:00Z. */
  readonly now?: number;
}

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Makes a clock that starts at a fixed time and stands still until {@link TestClock.advance}. */
export function createTestClock(options: CreateTestClockOptions = {}): TestClock {
  const start = options.now ?? Date.UTC(2026, 0, 1);
  const timers = new Set<Timer>();
  let elapsed = 0;

  const schedule = (delayMs: number, run: () => void): (() => void) => {
    const timer: Timer = { at: elapsed + Math.max(0, delayMs), run };
    timers.add(timer);
    return () => timers.delete(timer);
  };

  const nextDue = (until: number): Timer | undefined => {
    let first: Timer | undefined;
    // A Set keeps insertion order, so of two timers for one instant the older runs first.
    for (const timer of timers) if (timer.at <= until && (first === undefined || timer.at < first.at)) first = timer;
    return first;
  };

  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    schedule,
    sleep(delayMs, { signal } = {}) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = (): void => {
          cancel();
          reject(signal?.reason);
        };
        const cancel = schedule(delayMs, () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        });
        signal?.addEventListener("abort", onAbort, { once: true });
      });
    },
    async advance(ms) {
      const until = elapsed + ms;
      await settle();
      for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
        elapsed = Math.max(elapsed, timer.at);
        timers.delete(timer);
        timer.run();
        await settle();
      }
      elapsed = until;
      await settle();
    },
    get pending() {
      return timers.size;
    },
  };
}
