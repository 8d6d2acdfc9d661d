/** Time and timers, injected so that agents are tested without waiting. */
export interface WireClock {
  /** Milliseconds, never going backwards. */
  now(): number;
  /** Calls back once after `afterMs`; the returned function cancels. */
  schedule(afterMs: number, callback: () => void): () => void;
}

/** The machine's clock. Its timers don't keep the process alive. */
export const systemClock: WireClock = {
  now: () => performance.now(),
  schedule: (afterMs, callback) => {
    const timer = setTimeout(callback, afterMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
