/** A write that found no space. */
interface Parked {
  /** Why it was not done the last time. */
  error: unknown;
  readonly retry: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** How often what waits is tried again, in milliseconds. */
const retryMs = 200;

/** Whether an error says that there is no space: the file system's own, and the engine's. */
export function isOutOfSpace(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT" || code === "NO_SPACE";
}

/** Says no to a write that needs new space. */
export class OutOfSpaceError extends Error {
  readonly code = "ENOSPC";
}

/**
 * Writes that wait for space, in order of arrival, and are tried again until there is some. Nothing is lost and nothing fails meanwhile; the guest waits. There are no
 * more of them than the connections' own limits let in.
 */
export class ParkedWrites {
  readonly #waiting: Parked[] = [];
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #stopped: Error | undefined;

  /** How many wait for a reason that counts. */
  count(counts: (error: unknown) => boolean): number {
    return this.#waiting.filter(({ error }) => counts(error)).length;
  }

  /** Tries again later what failed for want of space, until it succeeds or fails otherwise. */
  park(error: unknown, retry: () => unknown): Promise<unknown> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ error, retry, resolve, reject });
      this.#schedule();
    });
  }

  /** Tries at once: there may be space now. */
  wake(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#run();
  }

  /** Fails what waits and what comes. */
  stop(error: Error): void {
    this.#stopped = error;
    clearTimeout(this.#timer);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #schedule(): void {
    if (this.#running || this.#timer !== undefined || this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#run();
    }, retryMs);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let at = 0; at < this.#waiting.length; ) {
      const parked = this.#waiting[at] as Parked;
      let settle: () => void;
      try {
        const result = await parked.retry();
        settle = () => parked.resolve(result);
      } catch (error) {
        // One that needs less may fit.
        if (isOutOfSpace(error)) {
          parked.error = error;
          at++;
          continue;
        }
        settle = () => parked.reject(error);
      }
      const index = this.#waiting.indexOf(parked);
      if (index < 0) break;
      this.#waiting.splice(index, 1);
      settle();
    }
    this.#running = false;
    this.#schedule();
  }
}
