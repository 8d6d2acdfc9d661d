import { type Clock, type Description, type OperationContext, refuseWhenOver, VdcError } from "@vdc-os/core";
import type {
  KeyValue,
  StateEvent,
  StateLease,
  StateOperation,
  StateStore,
  StateStoreFacets,
  Transaction,
  TransactionResult,
} from "@vdc-os/core/state/v1";
import { facetAvailability, facetsOf } from "./facets.ts";
import { type Change, compareKeys, type MemoryDatabase } from "./memory-database.ts";
import { version } from "./version.ts";

type Input<Name extends Exclude<keyof StateStore, "facets">> = Parameters<StateStore[Name]>[0];

/** The most bytes that a value has as JSON text. */
const maxValueBytes = 1024 * 1024;

/** The state store API on the database. No call waits for anything while it changes something, so that no two changes can meet. */
export class AcmeState implements StateStore {
  readonly facets: StateStoreFacets;
  readonly #database: MemoryDatabase;
  readonly #clock: Clock;
  /** What stops the timer of each lease. */
  readonly #timers = new Map<string, () => void>();

  constructor(database: MemoryDatabase, clock: Clock) {
    this.facets = facetsOf(database);
    this.#database = database;
    this.#clock = clock;
    // After a restart each lease has its whole time again.
    for (const [lease, ttlMs] of database.leases) this.#begin(lease, ttlMs);
  }

  /** Lets go of what runs. The leases stay in the database. */
  close(): void {
    for (const stop of this.#timers.values()) stop();
    this.#timers.clear();
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-state", version, simulated: true },
      facets: facetAvailability,
      attributes: { durable: false },
    };
  }

  async get({ key }: Input<"get">): Promise<{ readonly entry?: KeyValue; readonly revision: number }> {
    const { revision } = this.#database;
    const entry = this.#database.entries().get(key);
    return entry === undefined ? { revision } : { entry, revision };
  }

  async transact({ compare, operations }: Transaction, context: OperationContext): Promise<TransactionResult> {
    refuseWhenOver(context);
    const keys = new Set(operations.map(({ key }) => key));
    if (keys.size < operations.length) throw new VdcError("INVALID_ARGUMENT", "a key is changed twice");
    const entries = this.#database.entries();
    const failed = compare.filter(({ key, modRevision }) => (entries.get(key)?.modRevision ?? 0) !== modRevision);
    if (failed.length > 0) {
      const conflicts = [...new Set(failed.map(({ key }) => key))].flatMap((key) => entries.get(key) ?? []);
      return { committed: false, revision: this.#database.revision, conflicts };
    }
    const changes = operations.flatMap((operation) => this.#changeOf(operation, entries.get(operation.key)) ?? []);
    this.#database.commit(changes);
    return { committed: true, revision: this.#database.revision };
  }

  async list({ prefix, limit = 1000, pageToken }: Input<"list">): Promise<{
    readonly entries: readonly KeyValue[];
    readonly revision: number;
    readonly nextPageToken?: string;
  }> {
    // All pages are of one revision, which the token holds on to.
    const [revision, after] = pageToken === undefined ? [this.#database.revision, ""] : readToken(pageToken);
    const rest = [...this.#database.entries(revision).values()]
      .filter(({ key }) => key.startsWith(prefix) && compareKeys(key, after) > 0)
      .sort((a, b) => compareKeys(a.key, b.key));
    const entries = rest.slice(0, limit);
    return rest.length > limit
      ? { entries, revision, nextPageToken: `${revision}:${entries.at(-1)?.key}` }
      : { entries, revision };
  }

  async *watch({ prefix, afterRevision }: Input<"watch">, context: OperationContext): AsyncGenerator<StateEvent> {
    let told = afterRevision;
    for (let isFirst = true; ; isFirst = false) {
      refuseWhenOver(context);
      const { revision } = this.#database;
      const changes = this.#database.changesAfter(told).filter(({ key }) => key.startsWith(prefix));
      for (const { revision, key, entry } of changes) {
        yield entry === undefined ? { type: "delete", revision, key } : { type: "put", revision, entry };
      }
      if (isFirst || changes.length > 0) yield { type: "progress", revision };
      told = Math.max(told, revision);
      // What was committed meanwhile is read from the log: a watch that nobody reads keeps nothing.
      if (this.#database.revision === revision) await this.#database.nextCommit(context.signal);
    }
  }

  async grantLease({ ttlMs }: Input<"grantLease">, context: OperationContext): Promise<StateLease> {
    refuseWhenOver(context);
    return this.#begin(context.random.uuid(), ttlMs);
  }

  async keepAlive({ lease }: Input<"keepAlive">, context: OperationContext): Promise<StateLease> {
    refuseWhenOver(context);
    return this.#begin(lease, this.#ttlOf(lease));
  }

  async revokeLease({ lease }: Input<"revokeLease">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    this.#end(lease);
  }

  /** What an operation does to a key that has an entry, or none. Nothing, where it deletes what is absent. */
  #changeOf(operation: StateOperation, before: KeyValue | undefined): Change | undefined {
    const { key } = operation;
    const revision = this.#database.revision + 1;
    if (operation.type === "delete") return before === undefined ? undefined : { revision, key, entry: undefined };
    const { lease } = operation;
    if (lease !== undefined) this.#ttlOf(lease);
    const text = JSON.stringify(operation.value);
    if (Buffer.byteLength(text) > maxValueBytes) {
      throw new VdcError("INVALID_ARGUMENT", `the value of key '${key}' has more than ${maxValueBytes} bytes`);
    }
    const entry: KeyValue = {
      key,
      // A copy: the caller's own object may change.
      value: JSON.parse(text),
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      ...(lease === undefined ? {} : { lease }),
    };
    return { revision, key, entry };
  }

  /** How long a lease is. Throws `NOT_FOUND`. */
  #ttlOf(lease: string): number {
    const ttlMs = this.#database.leases.get(lease);
    if (ttlMs === undefined) throw new VdcError("NOT_FOUND", `there is no lease '${lease}'`);
    return ttlMs;
  }

  /** Begins the time of a lease, or begins it anew. */
  #begin(lease: string, ttlMs: number): StateLease {
    this.#timers.get(lease)?.();
    this.#timers.set(
      lease,
      this.#clock.schedule(ttlMs, () => this.#end(lease)),
    );
    this.#database.leases.set(lease, ttlMs);
    return { lease, ttlMs };
  }

  /** Ends a lease, with its keys, by a transaction of its own. */
  #end(lease: string): void {
    this.#timers.get(lease)?.();
    this.#timers.delete(lease);
    this.#database.leases.delete(lease);
    const revision = this.#database.revision + 1;
    const own = [...this.#database.entries().values()].filter((entry) => entry.lease === lease);
    this.#database.commit(own.map(({ key }) => ({ revision, key, entry: undefined })));
  }
}

/** The revision that a page token holds on to, and the last key of the page before. */
function readToken(token: string): readonly [revision: number, after: string] {
  const [, revision, after] = /^(\d{1,15}):(.+)$/s.exec(token) ?? [];
  if (after === undefined) throw new VdcError("ABORTED", "the page token is unknown: begin again");
  return [Number(revision), after];
}
