import { OvsdbError } from "../ovsdb-error.ts";

/** How long a call may take. */
export interface WaitOptions {
  /** Defaults to 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export const DEFAULT_TIMEOUT_MS = 30_000;

/** What is left of a call's time. */
export class Deadline {
  readonly signal: AbortSignal | undefined;
  readonly #timeoutMs: number;
  readonly #startedAt: number = performance.now();

  constructor(options: WaitOptions) {
    this.signal = options.signal;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  get remainingMs(): number {
    return Math.max(0, this.#timeoutMs - (performance.now() - this.#startedAt));
  }

  /** What is left, as options of another call. */
  get rest(): WaitOptions {
    return { timeoutMs: this.remainingMs, ...(this.signal && { signal: this.signal }) };
  }

  /**
   * Waits for something that is told by a callback: `start` gets functions to resolve and reject with and may return how to stop listening.
   *
   * @throws `OVSDB_TIMEOUT`, `OVSDB_ABORTED`
   */
  async wait<T>(
    what: string,
    start: (resolve: (value: T) => void, reject: (error: unknown) => void) => (() => void) | undefined,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const aborted = (): void =>
      reject(new OvsdbError("OVSDB_ABORTED", `Waiting for ${what} was aborted.`, { cause: this.signal?.reason }));
    if (this.signal?.aborted) aborted();
    this.signal?.addEventListener("abort", aborted);
    const timer = setTimeout(
      () => reject(new OvsdbError("OVSDB_TIMEOUT", `Waited ${Math.round(this.#timeoutMs)} ms in vain for ${what}.`)),
      this.remainingMs,
    );
    let stop: (() => void) | undefined;
    try {
      stop = start(resolve, reject);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.signal?.removeEventListener("abort", aborted);
      stop?.();
    }
  }
}
