type Listener<A extends readonly unknown[]> = (...args: A) => void;

/**
 * Listeners by event. A listener that throws neither keeps others from hearing nor disturbs the one who tells: its error becomes an uncaught exception of
 * its own.
 */
export class Emitter<E extends { readonly [name: string]: readonly unknown[] }> {
  readonly #listeners = new Map<keyof E, Set<Listener<readonly unknown[]>>>();

  /** Returns how to stop listening. */
  on<N extends keyof E>(name: N, listener: (...args: E[N]) => void): () => void {
    let set = this.#listeners.get(name);
    if (set === undefined) {
      set = new Set();
      this.#listeners.set(name, set);
    }
    // A wrapper, so that one function added twice is two listeners.
    const entry: Listener<readonly unknown[]> = (...args) => listener(...(args as unknown as E[N]));
    set.add(entry);
    return () => set.delete(entry);
  }

  emit<N extends keyof E>(name: N, ...args: E[N]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
