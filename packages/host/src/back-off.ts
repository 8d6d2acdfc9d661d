/** Options of {@link BackOff}: milliseconds. */
export interface BackOffOptions {
  readonly firstBackOffMs: number;
  readonly maxBackOffMs: number;
}

/** A process that ran for so long has recovered: its next end begins with the first pause again. */
const recoveredAfterMs = 30_000;

/** The pauses before a process is started again: each failure doubles the next one. */
export class BackOff {
  readonly #options: BackOffOptions;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** The pause after a failure of what was started then, in milliseconds. */
  next(startedAt: number | undefined): number {
    if (startedAt !== undefined && Date.now() - startedAt > recoveredAfterMs) this.#failures = 0;
    return Math.min(this.#options.maxBackOffMs, this.#options.firstBackOffMs * 2 ** this.#failures++);
  }

  /** Runs something after a pause, unless that is cancelled. */
  schedule(pauseMs: number, run: () => void): void {
    this.cancel();
    this.#timer = setTimeout(run, pauseMs);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }

  /** Forgets the failures. */
  reset(): void {
    this.#failures = 0;
  }
}
