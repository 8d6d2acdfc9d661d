import { type BlockBackend, type BlockResult, isPending } from "../block-backend.ts";

/**
 * Merges flushes of a backend whose flush takes time: those that arrive while one runs share the next one.
 *
 * A flush is never answered by one that began before it arrived, since that one need not cover the latest writes.
 */
export class FlushCombiner {
  readonly #backend: BlockBackend;
  #running: PromiseLike<unknown> | undefined;
  #next: Promise<void> | undefined;

  constructor(backend: BlockBackend) {
    this.#backend = backend;
  }

  flush(): BlockResult {
    if (this.#running) {
      this.#next ??= settled(this.#running).then(() => {
        this.#next = undefined;
        return this.#start() as Promise<void> | undefined;
      });
      return this.#next;
    }
    return this.#start();
  }

  #start(): BlockResult {
    const result = this.#backend.flush();
    if (!isPending(result)) return undefined;
    this.#running = result;
    const done = (): void => {
      if (this.#running === result) this.#running = undefined;
    };
    result.then(done, done);
    return result;
  }
}

function settled(promise: PromiseLike<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => resolve();
    promise.then(done, done);
  });
}
