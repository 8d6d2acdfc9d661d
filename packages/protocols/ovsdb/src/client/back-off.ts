export interface BackOffOptions {
  /** The first pause. Defaults to 100. */
  readonly minMs?: number;
  /** The longest pause. Defaults to 8,000. */
  readonly maxMs?: number;
}

/** Pauses between attempts: each twice as long as the last up to a limit, and each between half and all of that, so that clients don't come all at once. */
export class BackOff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #nextMs: number;

  constructor(options: BackOffOptions = {}, random: () => number = Math.random) {
    this.#minMs = options.minMs ?? 100;
    this.#maxMs = Math.max(this.#minMs, options.maxMs ?? 8_000);
    this.#random = random;
    this.#nextMs = this.#minMs;
  }

  next(): number {
    const pause = this.#nextMs * (0.5 + this.#random() / 2);
    this.#nextMs = Math.min(this.#maxMs, this.#nextMs * 2);
    return pause;
  }

  reset(): void {
    this.#nextMs = this.#minMs;
  }
}
