import type { Clock } from "@vdc-os/core";

interface Lease {
  readonly ttlMs: number;
  deadline: number;
}

/**
 * When leases end. All time is the clock's monotonic time, so a jump of the wall clock ends none. A lease whose time has come has
 * ended at that instant, even though its keys go a moment later, with an ordinary revision.
 */
export class LeaseTimers {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #leases = new Map<string, Lease>();
  #cancel: (() => void) | undefined;
  #wakesAt = Number.POSITIVE_INFINITY;

  /** `onDue` runs when there may be leases that {@link LeaseTimers.due} names. */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Begins a lease's time. */
  start(id: string, ttlMs: number): void {
    const deadline = this.#clock.monotonic() + ttlMs;
    this.#leases.set(id, { ttlMs, deadline });
    this.#arm(deadline);
  }

  /** Begins a lease's time anew, and returns that time; `undefined` when it has ended or never was. */
  renew(id: string): number | undefined {
    const lease = this.#leases.get(id);
    if (lease === undefined || !this.isAlive(id)) return undefined;
    // The timer stays where it is: when it fires too early, it is set again.
    lease.deadline = this.#clock.monotonic() + lease.ttlMs;
    return lease.ttlMs;
  }

  isAlive(id: string): boolean {
    const lease = this.#leases.get(id);
    return lease !== undefined && lease.deadline > this.#clock.monotonic();
  }

  /** The leases that have ended and are not forgotten yet. */
  due(): readonly string[] {
    const now = this.#clock.monotonic();
    return [...this.#leases].filter(([, lease]) => lease.deadline <= now).map(([id]) => id);
  }

  forget(id: string): void {
    this.#leases.delete(id);
  }

  /** Looks for ended leases again after a while: when deleting their keys failed. */
  retryIn(delayMs: number): void {
    this.#arm(this.#clock.monotonic() + delayMs);
  }

  close(): void {
    this.#cancel?.();
    this.#leases.clear();
  }

  #arm(deadline: number): void {
    if (this.#cancel !== undefined && this.#wakesAt <= deadline) return;
    this.#cancel?.();
    this.#wakesAt = deadline;
    this.#cancel = this.#clock.schedule(Math.max(0, deadline - this.#clock.monotonic()), () => this.#wake());
  }

  #wake(): void {
    this.#cancel = undefined;
    this.#wakesAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    let anyDue = false;
    for (const lease of this.#leases.values()) {
      if (lease.deadline <= now) anyDue = true;
      else if (lease.deadline < next) next = lease.deadline;
    }
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
    if (anyDue) this.#onDue();
  }
}
