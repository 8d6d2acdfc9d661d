/**
 * A token bucket on a millisecond clock. It starts full. An amount passes when the bucket holds it, or is full and the amount is more than
 * it can ever hold; what is then taken beyond zero is a debt that later amounts wait for, so that the rate holds either way.
 */
export class TokenBucket {
  /** Tokens per second. */
  readonly rate: number;
  /** Tokens at most. */
  readonly depth: number;
  #tokens: number;
  #filledAt: number | undefined;

  constructor(rate: number, depth: number) {
    this.rate = rate;
    this.depth = depth;
    this.#tokens = depth;
  }

  /** Whether `amount` may pass at `now`. */
  allows(amount: number, now: number): boolean {
    if (this.#filledAt === undefined) this.#filledAt = now;
    else if (now > this.#filledAt) {
      this.#tokens = Math.min(this.depth, this.#tokens + ((now - this.#filledAt) * this.rate) / 1000);
      this.#filledAt = now;
    }
    return this.#tokens >= Math.min(amount, this.depth);
  }

  take(amount: number): void {
    this.#tokens -= amount;
  }

  /** How many tokens there were at the last look. */
  get level(): number {
    return this.#tokens;
  }

  /** Goes on from the level of another bucket. More than fits, and what is no number, is a full one. */
  set level(tokens: number) {
    this.#tokens = Number.isFinite(tokens) ? Math.min(tokens, this.depth) : this.depth;
  }
}
