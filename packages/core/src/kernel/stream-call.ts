import { toVdcError, type VdcError } from "../error/vdc-error.ts";

/** What a stream call does at its boundary. */
export interface StreamCallOptions {
  /** Begins the call. Runs at the first `next`: a stream that nobody reads costs nothing. */
  readonly open: () => AsyncIterator<unknown> | Promise<AsyncIterator<unknown>>;
  /** Called once the call has begun, with the function that ends it early. Returns what to do when it is over. */
  readonly guard?: (end: (error: VdcError) => void) => () => void;
  /** Checks an item. */
  readonly item?: (item: unknown) => unknown;
  /** Attributes an error. */
  readonly fail?: (error: unknown) => VdcError;
}

/**
 * A stream as its consumer sees it: one item at a time, in order, ended by the consumer, the provider, a deadline or a signal. When
 * it is ended early the provider's iterator is told to return, and is not waited for.
 */
export class StreamCall implements AsyncIterableIterator<unknown> {
  readonly #options: StreamCallOptions;
  #iterator: AsyncIterator<unknown> | undefined;
  #release: (() => void) | undefined;
  #state: "new" | "open" | "over" = "new";
  #error: VdcError | undefined;
  #reject: ((error: VdcError) => void) | undefined;
  #last: Promise<unknown> | undefined;

  constructor(options: StreamCallOptions) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item. Calls that overlap are answered in order. */
  next(): Promise<IteratorResult<unknown>> {
    const previous = this.#last;
    const result =
      previous === undefined
        ? this.#next()
        : previous.then(
            () => this.#next(),
            () => this.#next(),
          );
    this.#last = result;
    return result;
  }

  async return(): Promise<IteratorResult<unknown>> {
    const iterator = this.#iterator;
    this.#close();
    if (iterator !== undefined) await iterator.return?.();
    return { done: true, value: undefined };
  }

  async #next(): Promise<IteratorResult<unknown>> {
    if (this.#state === "over") {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) throw error;
      return { done: true, value: undefined };
    }
    try {
      if (this.#state === "new") await this.#open();
      const result = await this.#step();
      if (result.done) {
        this.#close();
        return { done: true, value: undefined };
      }
      return { done: false, value: this.#options.item?.(result.value) ?? result.value };
    } catch (error) {
      const iterator = this.#iterator;
      const ended = error === this.#error;
      this.#close();
      this.#error = undefined;
      abandon(iterator);
      // The caller's own cancellation is not the plugin's error.
      throw ended ? error : (this.#options.fail?.(error) ?? toVdcError(error));
    }
  }

  async #open(): Promise<void> {
    const iterator = this.#options.open();
    this.#iterator = iterator instanceof Promise ? await iterator : iterator;
    this.#state = "open";
    this.#release = this.#options.guard?.((error) => this.#end(error));
    // The guard may have ended it already: a signal that had aborted before.
    if ((this.#state as string) === "over") this.#close();
  }

  #step(): Promise<IteratorResult<unknown>> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      (this.#iterator as AsyncIterator<unknown>).next().then(resolve, reject);
    }).finally(() => {
      this.#reject = undefined;
    }) as Promise<IteratorResult<unknown>>;
  }

  #end(error: VdcError): void {
    if (this.#state === "over") return;
    this.#error = error;
    const reject = this.#reject;
    const iterator = this.#iterator;
    this.#close();
    abandon(iterator);
    reject?.(error);
  }

  #close(): void {
    this.#state = "over";
    this.#iterator = undefined;
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }
}

/** Tells a provider's iterator to stop, without waiting: it may be the one that hangs. */
function abandon(iterator: AsyncIterator<unknown> | undefined): void {
  try {
    iterator?.return?.().then(undefined, () => undefined);
  } catch {
    // It is being given up: what it has to say no longer matters.
  }
}
