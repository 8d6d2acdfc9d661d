import type { Clock } from "../context/clock.ts";

/** Something that is told once its deadline has passed. */
export interface Watched {
  /** In {@link Clock.monotonic} milliseconds. */
  readonly deadline: number;
  /** Set once it no longer waits: it is then forgotten without being told. */
  settled: boolean;
  expire(): void;
}

/**
 * One timer for many deadlines. Starting a timer for each of ten thousand plugins costs more than starting the plugins, and nearly
 * all of them are cancelled at once; here the earliest deadline alone has a timer.
 */
export class DeadlineWatch {
  readonly #clock: Clock;
  #watched: Watched[] = [];
  #waiting = 0;
  #armedFor = Number.POSITIVE_INFINITY;
  #disarm: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(watched: Watched): void {
    this.#watched.push(watched);
    this.#waiting++;
    if (watched.deadline < this.#armedFor) this.#arm(watched.deadline);
  }

  /** Must be called for each that was added and did not expire. */
  settle(watched: Watched): void {
    if (watched.settled) return;
    watched.settled = true;
    this.#waiting--;
  }

  /** Gives the timer back when nobody waits. For the end of a batch: after each member it would cost a timer for each. */
  rest(): void {
    if (this.#waiting === 0) this.#clear();
  }

  #arm(deadline: number): void {
    this.#disarm?.();
    this.#armedFor = deadline;
    this.#disarm = this.#clock.schedule(deadline - this.#clock.monotonic(), () => this.#fire());
  }

  #fire(): void {
    this.#disarm = undefined;
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.#clock.monotonic();
    const due: Watched[] = [];
    let next = Number.POSITIVE_INFINITY;
    this.#watched = this.#watched.filter((watched) => {
      if (watched.settled) return false;
      if (watched.deadline <= now) {
        due.push(watched);
        return false;
      }
      next = Math.min(next, watched.deadline);
      return true;
    });
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
    for (const watched of due) {
      watched.settled = true;
      this.#waiting--;
      watched.expire();
    }
  }

  #clear(): void {
    this.#watched = [];
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedFor = Number.POSITIVE_INFINITY;
  }
}
