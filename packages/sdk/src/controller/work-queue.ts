import type { Clock, Random } from "@vdc-os/core";
import { backoffDelay } from "./backoff.ts";

/** Options of {@link WorkQueue}. */
export interface WorkQueueOptions<Key> {
  readonly clock: Clock;
  readonly random: Random;
  /** What tells two keys apart. */
  readonly id: (key: Key) => string;
  /** Keys of different groups take turns, however many keys a group has: the tenant. */
  readonly group: (key: Key) => string;
  /** The wait after a first failure, in milliseconds. Defaults to 100. */
  readonly backoffBaseMs?: number | undefined;
  /** The longest wait, in milliseconds. Defaults to 120_000. */
  readonly backoffMaxMs?: number | undefined;
}

/** How full a queue is. */
export interface WorkQueueDepth {
  /** Keys that wait for a worker. */
  readonly ready: number;
  /** Keys that wait for a time. */
  readonly delayed: number;
  /** Keys that a worker has. */
  readonly active: number;
}

interface Delayed<Key> {
  readonly key: Key;
  readonly at: number;
  readonly cancel: () => void;
}

/**
 * Keys that want attention. A key is in it once, however often it is added; a key that a worker has is handed out again only after
 * `done`, and is when it was added meanwhile. Groups take turns. It holds no work and no outcome: only keys, and how often each failed.
 */
export class WorkQueue<Key> {
  readonly #options: WorkQueueOptions<Key>;
  /** Ready keys, by group; the order of the groups is whose turn it is. */
  readonly #ready = new Map<string, Map<string, Key>>();
  readonly #delayed = new Map<string, Delayed<Key>>();
  readonly #active = new Set<string>();
  readonly #dirty = new Map<string, Key>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: Key | undefined) => void)[] = [];
  #closed = false;

  constructor(options: WorkQueueOptions<Key>) {
    this.#options = options;
  }

  /** Wants attention for a key now. */
  add(key: Key): void {
    if (this.#closed) return;
    const id = this.#options.id(key);
    this.#undelay(id);
    if (this.#active.has(id)) {
      this.#dirty.set(id, key);
      return;
    }
    const group = this.#options.group(key);
    const ready = this.#ready.get(group) ?? new Map<string, Key>();
    if (ready.has(id)) return;
    this.#ready.set(group, ready.set(id, key));
    this.#serve();
  }

  /** Wants attention for a key after a while, unless it gets some before. Of two times, the earlier holds. */
  addAfter(key: Key, delayMs: number): void {
    if (this.#closed) return;
    const id = this.#options.id(key);
    const at = this.#options.clock.monotonic() + delayMs;
    const known = this.#delayed.get(id);
    if (known !== undefined && known.at <= at) return;
    this.#undelay(id);
    const cancel = this.#options.clock.schedule(delayMs, () => {
      this.#delayed.delete(id);
      this.add(key);
    });
    this.#delayed.set(id, { key, at, cancel });
  }

  /** Wants attention for a key that failed, after its back-off. Returns how long that is, in milliseconds. */
  retry(key: Key): number {
    const { random, backoffBaseMs: baseMs = 100, backoffMaxMs: maxMs = 120_000 } = this.#options;
    const id = this.#options.id(key);
    const failures = (this.#failures.get(id) ?? 0) + 1;
    this.#failures.set(id, failures);
    const delayMs = backoffDelay({ failures, baseMs, maxMs, random });
    this.addAfter(key, delayMs);
    return delayMs;
  }

  /** Forgets that a key has failed. */
  forget(key: Key): void {
    this.#failures.delete(this.#options.id(key));
  }

  /** How often a key has failed in a row. */
  failuresOf(key: Key): number {
    return this.#failures.get(this.#options.id(key)) ?? 0;
  }

  /** The next key, as soon as there is one; it is the taker's until `done`. `undefined` once the queue is closed. */
  take(): Promise<Key | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<Key | undefined>();
    this.#takers.push(resolve);
    this.#serve();
    return promise;
  }

  /** Gives a key back. */
  done(key: Key): void {
    const id = this.#options.id(key);
    this.#active.delete(id);
    const again = this.#dirty.get(id);
    this.#dirty.delete(id);
    if (again !== undefined) this.add(again);
  }

  /** Hands out nothing more, and takes nothing more. */
  close(): void {
    this.#closed = true;
    for (const id of [...this.#delayed.keys()]) this.#undelay(id);
    this.#ready.clear();
    this.#dirty.clear();
    for (const resolve of this.#takers.splice(0)) resolve(undefined);
  }

  get depth(): WorkQueueDepth {
    let ready = this.#dirty.size;
    for (const keys of this.#ready.values()) ready += keys.size;
    return { ready, delayed: this.#delayed.size, active: this.#active.size };
  }

  #serve(): void {
    while (this.#takers.length > 0) {
      const next = this.#ready.entries().next().value;
      if (next === undefined) return;
      const [group, keys] = next;
      const [id, key] = keys.entries().next().value as [string, Key];
      keys.delete(id);
      // To the end of the turn order, or out of it.
      this.#ready.delete(group);
      if (keys.size > 0) this.#ready.set(group, keys);
      this.#active.add(id);
      this.#takers.shift()?.(key);
    }
  }

  #undelay(id: string): void {
    this.#delayed.get(id)?.cancel();
    this.#delayed.delete(id);
  }
}
