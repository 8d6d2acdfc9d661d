import type { Clock } from "../context/clock.ts";

/**
 * One reading of the monotonic clock for all that ends in the same turn of the microtask queue.
 *
 * Plugins whose `setup` ends at once end together: they share the reading of the first, which is nearer to when each of them ended
 * than one of its own would be, after the others' turn.
 */
export class TurnClock {
  readonly #clock: Clock;
  #now: number | undefined;
  readonly #forget = (): void => {
    this.#now = undefined;
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** In {@link Clock.monotonic} milliseconds. */
  now(): number {
    if (this.#now === undefined) {
      this.#now = this.#clock.monotonic();
      queueMicrotask(this.#forget);
    }
    return this.#now;
  }
}
