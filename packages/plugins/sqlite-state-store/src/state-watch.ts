import { isCancellable, type OperationContext, toVdcError, type VdcError } from "@vdc-os/core";
import type { StateEvent } from "@vdc-os/core/state/v1";
import type { Committed } from "./commit-queue.ts";
import type { ChangePosition, StateTables } from "./state-tables.ts";

/** How many changes a watch reads from the tables at a time: all the memory that a slow watcher takes. */
const portionSize = 256;

/** A quiet watch is told its progress after this many revisions that did not concern it. */
const quietRevisions = 1_000;

/** The watches of a store, woken by commits that concern them. */
export class WatchHub {
  readonly #tables: StateTables;
  readonly #watches = new Set<StateWatch>();

  constructor(tables: StateTables) {
    this.#tables = tables;
  }

  /** Begins a watch. */
  open(prefix: string, afterRevision: number, context: OperationContext): StateWatch {
    const watch = new StateWatch(this.#tables, prefix, afterRevision, context, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  /** Tells the watches of a commit. */
  committed(commit: Committed): void {
    for (const watch of this.#watches) watch.committed(commit);
  }

  /** Ends every watch with an error. */
  close(error: VdcError): void {
    for (const watch of [...this.#watches]) watch.fail(error);
  }
}

/**
 * One watch: a place in the store's history, and nothing queued. Each change is read from the tables when the consumer asks for it,
 * so a slow consumer costs no memory; one that compaction overtakes gets `resync` and its watch ends.
 *
 * `progress` follows each time that the watch has caught up: at its beginning, after each burst of changes, and now and then on a
 * quiet prefix. It is a hand-written iterator rather than a generator so that `return` works while a `next` waits.
 */
export class StateWatch implements AsyncIterableIterator<StateEvent> {
  readonly #tables: StateTables;
  readonly #prefix: string;
  readonly #afterRevision: number;
  readonly #onEnd: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  /** Everything up to here was read. */
  #position: ChangePosition;
  #buffer: StateEvent[] = [];
  /** The last revision that `progress` told; below zero before the first. */
  #told = -1;
  #ended = false;
  #error: VdcError | undefined;
  #wake: (() => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    tables: StateTables,
    prefix: string,
    afterRevision: number,
    context: OperationContext,
    onEnd: () => void,
  ) {
    this.#tables = tables;
    this.#prefix = prefix;
    this.#afterRevision = afterRevision;
    this.#position = { revision: afterRevision + 1, key: "" };
    this.#onEnd = onEnd;
    this.#onAbort = () => this.fail(toVdcError(this.#signal?.reason, { retryable: false }));
    if (isCancellable(context)) {
      this.#signal = context.signal;
      this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<StateEvent>> {
    // One at a time, so that callers who do not wait get the changes in order too.
    const result = this.#last.then(() => this.#pull());
    this.#last = result.catch(() => undefined);
    return result;
  }

  return(): Promise<IteratorResult<StateEvent>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends the watch with an error, after what was read already. */
  fail(error: VdcError): void {
    if (this.#ended) return;
    this.#error = error;
    this.#buffer = [];
    this.#end();
  }

  committed(commit: Committed): void {
    // Only a watch that has read everything waits; others will come to this commit by themselves.
    if (this.#wake === undefined) return;
    if (commit.keys.some((key) => key.startsWith(this.#prefix))) {
      this.#wake();
    } else {
      this.#position = { revision: commit.revision + 1, key: "" };
      if (commit.revision - this.#told >= quietRevisions) this.#wake();
    }
  }

  async #pull(): Promise<IteratorResult<StateEvent>> {
    for (;;) {
      const value = this.#buffer.shift();
      if (value !== undefined) return { done: false, value };
      if (this.#ended) {
        const error = this.#error;
        this.#error = undefined;
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      if (this.#signal?.aborted) {
        this.#onAbort();
        continue;
      }
      try {
        this.#read();
      } catch (error) {
        this.fail(toVdcError(error));
        continue;
      }
      if (this.#buffer.length > 0 || this.#ended) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** Reads the next changes into the buffer; or `progress`, when there are none and that is news. */
  #read(): void {
    const { revision: head, compactRevision } = this.#tables;
    // A revision that has not been yet: the store was put back to an older copy, and what the watcher knows is not in it.
    const fromTheFuture = this.#told < 0 && this.#afterRevision > head;
    if (this.#position.revision < compactRevision || fromTheFuture) {
      this.#buffer.push({ type: "resync", compactRevision });
      this.#end();
      return;
    }
    const { items, complete } = this.#tables.changes(this.#prefix, this.#position, portionSize);
    this.#buffer.push(...items);
    const last = items.at(-1);
    if (complete) {
      this.#position = { revision: head + 1, key: "" };
      if (items.length > 0 || this.#told < 0 || head - this.#told >= quietRevisions) {
        this.#buffer.push({ type: "progress", revision: head });
        this.#told = head;
      }
    } else if (last !== undefined) {
      this.#position = { revision: last.revision, key: last.type === "put" ? last.entry.key : last.key };
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#onEnd();
    this.#wake?.();
  }
}
