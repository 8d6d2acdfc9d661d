/** Runs what is done with one thing one after the other, and what is done with different ones beside each other. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs when everything that came before for this id has ended, however it ended. */
  run<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(id) ?? Promise.resolve();
    const turn = before.then(work, work);
    const settled = turn
      .catch(() => {})
      .finally(() => {
        if (this.#last.get(id) === settled) this.#last.delete(id);
      });
    this.#last.set(id, settled);
    return turn;
  }

  /** Resolves when all that has been asked for by now has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#last.values());
  }
}
