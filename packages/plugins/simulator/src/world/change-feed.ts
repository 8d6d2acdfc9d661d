import { toVdcError, type WatchItem } from "@vdc-os/core";

type Change<T> = { readonly type: "added" | "modified" | "deleted"; readonly object: T };

interface Watcher<T> {
  readonly waiting: Map<string, Change<T>>;
  wake(): void;
}

/** Tells watchers how objects change. A slow watcher gets only the latest change of each object: watches are level-triggered. */
export class ChangeFeed<T> {
  readonly #watchers: Set<Watcher<T>> = new Set();

  /** Says that an object has changed. */
  tell(type: Change<T>["type"], key: string, object: T): void {
    for (const watcher of this.#watchers) {
      const before = watcher.waiting.get(key);
      watcher.waiting.delete(key);
      watcher.waiting.set(key, { type: before?.type === "added" && type === "modified" ? "added" : type, object });
      watcher.wake();
    }
  }

  /** Begins with what there is, as `added`, and goes on until the signal aborts. */
  async *watch(present: () => readonly T[], signal: AbortSignal): AsyncGenerator<WatchItem<T>> {
    let wake: () => void = () => {};
    const watcher: Watcher<T> = { waiting: new Map(), wake: () => wake() };
    const onAbort = (): void => wake();
    this.#watchers.add(watcher);
    signal.addEventListener("abort", onAbort);
    try {
      for (const object of present()) yield { type: "added", object };
      for (;;) {
        if (signal.aborted) throw toVdcError(signal.reason);
        const [next] = watcher.waiting;
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        watcher.waiting.delete(next[0]);
        yield next[1];
      }
    } finally {
      this.#watchers.delete(watcher);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
