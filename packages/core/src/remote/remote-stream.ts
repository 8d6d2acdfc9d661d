import { VdcError } from "../error/vdc-error.ts";

/** How a {@link RemoteStream} reaches its producer. */
export interface StreamLink {
  /** Sends `s`. Resolves when the producer has ended. */
  open(credit: number, signal: AbortSignal): Promise<unknown>;
  grant(count: number): void;
  /** Forgets the call: no further item is for it. */
  forget(): void;
}

type Waiter = {
  readonly resolve: (result: IteratorResult<unknown>) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * The consuming side of a stream. At most `window` items are here or on their way: credit goes back as they are read.
 * The stream is opened by the first `next`, like a local generator's.
 */
export class RemoteStream implements AsyncIterableIterator<unknown> {
  readonly #link: StreamLink;
  readonly #window: number;
  readonly #signal: AbortSignal | undefined;
  readonly #controller: AbortController = new AbortController();
  readonly #onAbort = (): void => this.#controller.abort(this.#signal?.reason);
  #items: unknown[] = [];
  #waiters: Waiter[] = [];
  /** Items that the producer may still send. */
  #credit = 0;
  /** Items read since credit was last granted. */
  #read = 0;
  #state: "new" | "open" | "ended" = "new";
  #error: unknown;
  #failed = false;

  constructor(link: StreamLink, options: { readonly window: number; readonly signal: AbortSignal | undefined }) {
    this.#link = link;
    this.#window = options.window;
    this.#signal = options.signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** An item has come. Throws when there was no credit for it. */
  push(item: unknown): void {
    if (this.#state !== "open") return;
    if (this.#credit === 0) throw new VdcError("INVALID_ARGUMENT", "a stream sent more items than it may");
    this.#credit--;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#items.push(item);
    } else {
      this.#consumed();
      waiter.resolve({ done: false, value: item });
    }
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#state === "new") this.#open();
    if (this.#items.length > 0) {
      const value = this.#items.shift();
      this.#consumed();
      return Promise.resolve({ done: false, value });
    }
    if (this.#state === "ended") return this.#finish();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  /** Cancels the producer. */
  return(): Promise<IteratorResult<unknown>> {
    this.#items = [];
    if (this.#state === "new") this.#state = "ended";
    if (this.#state === "open") {
      this.#end(undefined, false);
      this.#controller.abort(new VdcError("CANCELLED", "the consumer left the stream"));
    }
    this.#failed = false;
    return Promise.resolve({ done: true, value: undefined });
  }

  #open(): void {
    this.#state = "open";
    this.#credit = this.#window;
    if (this.#signal?.aborted) this.#onAbort();
    else this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#link.open(this.#window, this.#controller.signal).then(
      () => this.#end(undefined, false),
      (error) => this.#end(error, true),
    );
  }

  #consumed(): void {
    this.#read++;
    if (this.#state === "open" && this.#read * 2 >= this.#window) {
      this.#credit += this.#read;
      this.#link.grant(this.#read);
      this.#read = 0;
    }
  }

  #end(error: unknown, failed: boolean): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#error = error;
    this.#failed = failed;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#link.forget();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) this.#finish().then(waiter.resolve, waiter.reject);
  }

  /** The error once, then the end, as a generator does. */
  #finish(): Promise<IteratorResult<unknown>> {
    if (this.#failed) {
      this.#failed = false;
      return Promise.reject(this.#error);
    }
    return Promise.resolve({ done: true, value: undefined });
  }
}
