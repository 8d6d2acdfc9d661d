/** Time, injected so that tests decide it. */
export interface Clock {
  /** Wall-clock milliseconds since 1970, for people. */
  now(): number;
  /** Monotonic milliseconds from an arbitrary start, for leases, deadlines and durations. */
  monotonic(): number;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Calls `run` once after `delayMs`, unless the function that it returns is called first. Cheaper than a sleep that is aborted. */
  schedule(delayMs: number, run: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, run) {
    // Node fires a timer beyond 2^31-1 ms at once; such a deadline is far enough away to be clamped.
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), 0x7fff_ffff));
    return () => clearTimeout(timer);
  },
  sleep(delayMs, options = {}) {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, delayMs);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};
