/**
 * The memory in which frames wait for NICs that read too slowly, shared by all queues of a host. A queue may grow while it is shorter than what
 * is free, so one that is long leaves as much as it takes, and thousands of NICs that don't read get a little each: together they never hold
 * more than the limit (dynamic thresholds: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998).
 */
export class QueueMemory {
  /** In octets. Lowered, it drops nothing that waits. */
  limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Octets that wait in all queues. */
  get used(): number {
    return this.#used;
  }

  /** How long a queue may be now, in octets. */
  get threshold(): number {
    return Math.max(0, this.limit - this.#used);
  }

  /** A queue that held `before` octets holds `now`. */
  account(before: number, now: number): void {
    this.#used += now - before;
  }
}
