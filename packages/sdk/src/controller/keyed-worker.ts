import { type Clock, type Logger, type Random, toVdcError, type VdcError } from "@vdc-os/core";
import { WorkQueue, type WorkQueueDepth } from "./work-queue.ts";

/** What a run of a key asks for. */
export interface RunResult {
  /** Another look after this long, in milliseconds, whatever happens until then. */
  readonly requeueAfterMs?: number | undefined;
}

/** Options of {@link KeyedWorker}. */
export interface KeyedWorkerOptions<Key> {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly id: (key: Key) => string;
  readonly group: (key: Key) => string;
  /** How many keys at once. */
  readonly concurrency: number;
  readonly backoffBaseMs?: number | undefined;
  readonly backoffMaxMs?: number | undefined;
  /** Looks at a key. What it throws is recorded, and the key tried again after a back-off. */
  // biome-ignore lint/suspicious/noConfusingVoidType: an async function that returns nothing must fit.
  readonly run: (key: Key, signal: AbortSignal) => Promise<RunResult | void>;
}

/** A key that failed when it was last looked at. */
export interface KeyFailure {
  readonly key: string;
  readonly error: VdcError;
  /** How often in a row. */
  readonly failures: number;
  /** When it failed, in milliseconds since 1970. */
  readonly at: number;
  /** When it is tried again. */
  readonly retryAt: number;
}

/** What a worker is doing, for a status page. */
export interface WorkerStatus extends WorkQueueDepth {
  readonly name: string;
  /** Runs that ended well, since the start. */
  readonly succeeded: number;
  /** Runs that failed, since the start. */
  readonly failed: number;
  /** The keys that failed when they were last looked at. */
  readonly failures: readonly KeyFailure[];
}

/** Looks at keys: each alone, several at once, failed ones again after a back-off. */
export class KeyedWorker<Key> {
  readonly #options: KeyedWorkerOptions<Key>;
  readonly #queue: WorkQueue<Key>;
  readonly #failures = new Map<string, KeyFailure>();
  readonly #abort = new AbortController();
  readonly #running = new Set<string>();
  #loops: Promise<unknown> | undefined;
  #succeeded = 0;
  #failed = 0;

  constructor(options: KeyedWorkerOptions<Key>) {
    this.#options = options;
    this.#queue = new WorkQueue(options);
  }

  /** Wants a key looked at. */
  add(key: Key): void {
    this.#queue.add(key);
  }

  /** Wants a key looked at after a while. */
  addAfter(key: Key, delayMs: number): void {
    this.#queue.addAfter(key, delayMs);
  }

  /** Begins to look at keys. */
  start(): void {
    this.#loops ??= Promise.all(Array.from({ length: this.#options.concurrency }, () => this.#loop()));
  }

  /**
   * Hands out nothing more and lets the running keys finish; those that are not done after `drainMs` have their signal aborted, and
   * `abortMs` more to heed it. Returns the keys that did not end even so.
   */
  async stop(options: { readonly drainMs?: number; readonly abortMs?: number } = {}): Promise<readonly string[]> {
    const { drainMs = 5_000, abortMs = 5_000 } = options;
    this.#queue.close();
    if (!(await this.#endsWithin(drainMs))) {
      this.#abort.abort();
      await this.#endsWithin(abortMs);
    }
    this.#abort.abort();
    return [...this.#running];
  }

  get status(): WorkerStatus {
    return {
      name: this.#options.name,
      ...this.#queue.depth,
      succeeded: this.#succeeded,
      failed: this.#failed,
      failures: [...this.#failures.values()],
    };
  }

  async #endsWithin(delayMs: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#options.clock.schedule(delayMs, () => resolve(false));
    this.#loops?.then(() => resolve(true));
    const ended = await promise;
    cancel();
    return ended;
  }

  async #loop(): Promise<void> {
    for (let key = await this.#queue.take(); key !== undefined; key = await this.#queue.take()) {
      const id = this.#options.id(key);
      this.#running.add(id);
      try {
        await this.#run(key, id);
      } finally {
        this.#running.delete(id);
        this.#queue.done(key);
      }
    }
  }

  async #run(key: Key, id: string): Promise<void> {
    const { run, clock, logger, name } = this.#options;
    try {
      const result = await run(key, this.#abort.signal);
      this.#queue.forget(key);
      this.#failures.delete(id);
      this.#succeeded++;
      if (result?.requeueAfterMs !== undefined) this.#queue.addAfter(key, result.requeueAfterMs);
    } catch (thrown) {
      const error = toVdcError(thrown);
      this.#failed++;
      const retryMs = this.#queue.retry(key);
      const failures = this.#queue.failuresOf(key);
      const at = clock.now();
      this.#failures.set(id, { key: id, error, failures, at, retryAt: at + retryMs });
      logger.warn("a reconcile failed", {
        controller: name,
        key: id,
        error: error.message,
        code: error.code,
        failures,
        retryMs,
      });
    }
  }
}
