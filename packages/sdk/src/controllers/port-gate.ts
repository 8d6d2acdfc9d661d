/**
 * Keeps the connecting of ports and the collecting of garbage apart, switch by switch: ports are connected side by side, and nobody connects one while it
 * is decided which ports nobody owns.
 */
export class PortGate {
  readonly #connecting = new Map<string, Set<Promise<unknown>>>();
  readonly #collecting = new Map<string, Promise<unknown>>();

  /** Connects ports of a switch, once nothing is being collected there. */
  async connect<T>(switchId: string, work: () => Promise<T>): Promise<T> {
    // No await between the last look and what is noted below.
    for (let other = this.#collecting.get(switchId); other !== undefined; other = this.#collecting.get(switchId)) {
      await other.catch(() => {});
    }
    const running = work();
    const all = this.#connecting.get(switchId) ?? new Set();
    this.#connecting.set(switchId, all.add(running));
    try {
      return await running;
    } finally {
      all.delete(running);
      if (all.size === 0 && this.#connecting.get(switchId) === all) this.#connecting.delete(switchId);
    }
  }

  /** Runs alone on a switch: after what is being connected, and before what comes later. */
  async collect<T>(switchId: string, work: () => Promise<T>): Promise<T> {
    for (let other = this.#collecting.get(switchId); other !== undefined; other = this.#collecting.get(switchId)) {
      await other.catch(() => {});
    }
    const running = (async () => {
      await Promise.allSettled(this.#connecting.get(switchId) ?? []);
      return work();
    })();
    this.#collecting.set(switchId, running);
    try {
      return await running;
    } finally {
      this.#collecting.delete(switchId);
    }
  }
}
