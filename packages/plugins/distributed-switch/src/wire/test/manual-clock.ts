import type { WireClock } from "../wire-clock.ts";

/** A clock that a test turns by hand; timers fire in the order of their times. */
export class ManualClock implements WireClock {
  #now = 0;
  readonly #timers = new Map<number, { readonly at: number; readonly callback: () => void }>();
  #ids = 0;

  now(): number {
    return this.#now;
  }

  get timers(): number {
    return this.#timers.size;
  }

  schedule(afterMs: number, callback: () => void): () => void {
    this.#ids += 1;
    const id = this.#ids;
    this.#timers.set(id, { at: this.#now + afterMs, callback });
    return () => {
      this.#timers.delete(id);
    };
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      let next: [number, { readonly at: number; readonly callback: () => void }] | undefined;
      for (const entry of this.#timers)
        if (entry[1].at <= until && (next === undefined || entry[1].at < next[1].at)) next = entry;
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.#now = Math.max(this.#now, next[1].at);
      next[1].callback();
    }
    this.#now = until;
  }
}
