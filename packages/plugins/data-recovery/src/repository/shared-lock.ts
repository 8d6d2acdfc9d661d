/** Lets many shared users in at once, or one exclusive one. First come, first served. */
export class SharedLock {
  #shared = 0;
  #exclusive = false;
  readonly #waiting: { readonly exclusive: boolean; readonly enter: () => void }[] = [];

  async shared<T>(run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(false, signal);
    try {
      return await run();
    } finally {
      this.#shared--;
      this.#next();
    }
  }

  async exclusive<T>(run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(true, signal);
    try {
      return await run();
    } finally {
      this.#exclusive = false;
      this.#next();
    }
  }

  #enter(exclusive: boolean, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    return new Promise<void>((resolve, reject) => {
      const waiter = {
        exclusive,
        enter: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal?.reason);
        this.#next();
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiter);
      this.#next();
    });
  }

  #next(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (this.#exclusive || (first.exclusive && this.#shared > 0)) return;
      this.#waiting.shift();
      if (first.exclusive) this.#exclusive = true;
      else this.#shared++;
      first.enter();
    }
  }
}
