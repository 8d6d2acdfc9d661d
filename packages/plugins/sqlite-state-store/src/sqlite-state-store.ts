import { resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import {
  type Clock,
  type DescribeInput,
  type Description,
  isCancellable,
  type Logger,
  type OperationContext,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
  toVdcError,
  VdcError,
} from "@vdc-os/core";
import type {
  KeyValue,
  StateBackupFacet,
  StateEvent,
  StateHistoryFacet,
  StateLease,
  StateStore,
  Transaction,
  TransactionResult,
} from "@vdc-os/core/state/v1";
import { writeBackup } from "./backup-file.ts";
import { type Commit, CommitQueue } from "./commit-queue.ts";
import { LeaseTimers } from "./lease-timers.ts";
import { openDatabase } from "./open-database.ts";
import { decodePageToken, encodePageToken, staleToken } from "./page-token.ts";
import { sqliteFailure } from "./sqlite-failure.ts";
import { StateTables } from "./state-tables.ts";
import { WatchHub } from "./state-watch.ts";
import { checkKey, checkTransaction, checkWellFormed } from "./transaction-check.ts";

/** Options of {@link SqliteStateStore.open}. */
export interface OpenSqliteStateStoreOptions {
  /** The database file. It and its folder are made when they are absent. */
  readonly path: string;
  /** How many past revisions are kept. Defaults to `10_000`. */
  readonly keepRevisions?: number | undefined;
  /** Time for leases. Defaults to the machine's. */
  readonly clock?: Clock | undefined;
  /** Defaults to the machine's. */
  readonly random?: Random | undefined;
  /** Defaults to none. */
  readonly logger?: Logger | undefined;
}

const defaultKeepRevisions = 10_000;
const defaultPage = 1_000;
const historyPortion = 128;
/** How long an expiry that the disk refused waits before it is tried again, in milliseconds. */
const expiryRetryMs = 1_000;

/**
 * A state store in one SQLite file, with one writer.
 *
 * - A call that returned is on disk: write-ahead log, synced at each commit. Calls of the same turn of the event loop share a sync.
 * - `transact` without effect (no operations, or deletions of absent keys) makes no revision.
 * - A watch reads from the file, at its consumer's pace. It ends after `resync`.
 * - Leases live in the file and are timed in memory: after a restart each has its whole time again.
 * - A deadline or cancellation that comes before the commit prevents it; after the commit the result is returned all the same.
 */
export class SqliteStateStore implements StateStore {
  /** The database file. */
  readonly path: string;
  readonly facets: { readonly history: StateHistoryFacet; readonly backup: StateBackupFacet };
  readonly #database: DatabaseSync;
  readonly #tables: StateTables;
  readonly #queue: CommitQueue;
  readonly #watches: WatchHub;
  readonly #leases: LeaseTimers;
  readonly #keepRevisions: number;
  readonly #random: Random;
  readonly #logger: Logger;
  #closed: VdcError | undefined;

  /**
   * Opens the store, and makes it when it is absent.
   *
   * Fails with `FAILED_PRECONDITION` when another process holds the file (`VDC_STATE_IN_USE`, and it says who), when the file is not
   * a state store (`VDC_STATE_FOREIGN_FILE`) or a newer version wrote it (`VDC_STATE_NEWER_FORMAT`); with `DATA_LOSS` when it is damaged.
   */
  static async open(options: OpenSqliteStateStoreOptions): Promise<SqliteStateStore> {
    return new SqliteStateStore(options);
  }

  private constructor(options: OpenSqliteStateStoreOptions) {
    const clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#logger = options.logger ?? silentLogger;
    this.#keepRevisions = options.keepRevisions ?? defaultKeepRevisions;
    this.path = resolve(options.path);
    this.#database = openDatabase(this.path, { uuid: () => this.#random.uuid(), now: () => clock.now() });
    try {
      this.#tables = new StateTables(this.#database, this.path);
      this.#watches = new WatchHub(this.#tables);
      this.#queue = new CommitQueue(this.#database, {
        path: this.path,
        tables: this.#tables,
        tidy: (commit) => this.#compactWhenDue(commit),
        onCommitted: (committed) => this.#watches.committed(committed),
      });
      this.#leases = new LeaseTimers(clock, () => void this.#expire());
      for (const lease of this.#tables.leases()) this.#leases.start(lease.id, lease.ttlMs);
    } catch (error) {
      this.#database.close();
      throw sqliteFailure(this.path, error);
    }
    this.facets = {
      history: {
        keyHistory: (input, context) => this.#keyHistory(input.key, context),
        compact: (input, context) => this.#compact(input.revision, context),
      },
      backup: { backup: (input, context) => this.#backup(input.path, context) },
    };
  }

  async describe(_input: DescribeInput, context: OperationContext): Promise<Description> {
    this.#enter(context);
    const engine = `node:sqlite, SQLite ${String(this.#database.prepare("SELECT sqlite_version() AS v").get()?.v)}`;
    return {
      implementation: { name: "@vdc-os/plugin-sqlite-state-store", version: "0.1.0", simulated: false },
      facets: {
        history: { status: "available", limits: { revisions: this.#keepRevisions }, evidence: engine },
        backup: { status: "available", limits: {}, evidence: engine },
      },
      attributes: { durable: true, replicated: false },
    };
  }

  async get(
    input: { readonly key: string },
    context: OperationContext,
  ): Promise<{ readonly entry?: KeyValue; readonly revision: number }> {
    this.#enter(context);
    checkKey(input.key);
    const entry = this.#tables.get(input.key);
    return { ...(entry === undefined ? {} : { entry }), revision: this.#tables.revision };
  }

  async transact(input: Transaction, context: OperationContext): Promise<TransactionResult> {
    this.#enter(context);
    const operations = checkTransaction(input);
    const compare = input.compare.map(({ key, modRevision }) => ({ key, modRevision }));
    return this.#queue.write((commit): TransactionResult => {
      this.#enter(context);
      const conflicts = compare.filter(({ key, modRevision }) => this.#tables.revisionOf(key) !== modRevision);
      if (conflicts.length > 0) {
        const keys = [...new Set(conflicts.map(({ key }) => key))];
        return {
          committed: false,
          revision: this.#tables.revision,
          conflicts: keys.map((key) => this.#tables.get(key)).filter((entry) => entry !== undefined),
        };
      }
      for (const operation of operations) {
        if (operation.type === "put" && operation.lease !== undefined) this.#needLease(operation.lease);
      }
      const effective = operations.filter(({ type, key }) => type === "put" || this.#tables.revisionOf(key) !== 0);
      if (effective.length === 0) return { committed: true, revision: this.#tables.revision };
      const revision = commit.nextRevision();
      for (const operation of effective) {
        if (operation.type === "put") this.#tables.put(operation.key, operation.text, operation.lease);
        else this.#tables.delete(operation.key);
        commit.changed(operation.key);
      }
      return { committed: true, revision };
    });
  }

  async list(
    input: { readonly prefix: string; readonly limit?: number; readonly pageToken?: string },
    context: OperationContext,
  ): Promise<{ readonly entries: readonly KeyValue[]; readonly revision: number; readonly nextPageToken?: string }> {
    this.#enter(context);
    const { prefix, limit = defaultPage } = input;
    checkWellFormed(prefix);
    if (!Number.isInteger(limit) || limit < 1)
      throw new VdcError("INVALID_ARGUMENT", `limit is ${limit}: it must be 1 or more`);
    const from =
      input.pageToken === undefined
        ? { revision: this.#tables.revision, after: "" }
        : decodePageToken(input.pageToken, prefix);
    const { revision } = from;
    if (revision < this.#tables.compactRevision)
      throw staleToken(`is of revision ${revision}, which was compacted away`);
    if (revision > this.#tables.revision) throw staleToken("is not one of this store");
    const { items, complete } = this.#tables.list(prefix, from.after, revision, Math.min(limit, defaultPage));
    const last = items.at(-1);
    return {
      entries: items,
      revision,
      ...(complete || last === undefined
        ? {}
        : { nextPageToken: encodePageToken({ revision, prefix, after: last.key }) }),
    };
  }

  watch(
    input: { readonly prefix: string; readonly afterRevision: number },
    context: OperationContext,
  ): AsyncIterable<StateEvent> {
    this.#enter(context);
    checkWellFormed(input.prefix);
    return this.#watches.open(input.prefix, input.afterRevision, context);
  }

  async grantLease(input: { readonly ttlMs: number }, context: OperationContext): Promise<StateLease> {
    this.#enter(context);
    const { ttlMs } = input;
    if (!Number.isFinite(ttlMs) || ttlMs <= 0) {
      throw new VdcError("INVALID_ARGUMENT", `ttlMs is ${ttlMs}: a lease's time is more than 0 milliseconds`);
    }
    const lease = this.#random.uuid();
    await this.#queue.write((commit) => {
      this.#enter(context);
      commit.touched();
      this.#tables.addLease(lease, ttlMs);
    });
    // Its time begins when it is granted, not when it was asked for: the holder learns of it only now.
    this.#leases.start(lease, ttlMs);
    return { lease, ttlMs };
  }

  async keepAlive(input: { readonly lease: string }, context: OperationContext): Promise<StateLease> {
    this.#enter(context);
    const ttlMs = this.#leases.renew(input.lease);
    if (ttlMs === undefined) throw noLease(input.lease);
    return { lease: input.lease, ttlMs };
  }

  async revokeLease(input: { readonly lease: string }, context: OperationContext): Promise<void> {
    this.#enter(context);
    await this.#queue.write((commit) => {
      this.#enter(context);
      this.#endLease(input.lease, commit);
    });
    this.#leases.forget(input.lease);
  }

  /** Commits what waits, ends the watches with `UNAVAILABLE`, and gives the file free. May be called again. */
  async close(): Promise<void> {
    if (this.#closed !== undefined) return;
    const error = new VdcError("UNAVAILABLE", `the state store '${this.path}' is closed`, {
      reason: "VDC_STATE_CLOSED",
    });
    this.#queue.close(error);
    this.#leases.close();
    this.#closed = error;
    this.#watches.close(error);
    this.#database.close();
  }

  async *#keyHistory(key: string, context: OperationContext): AsyncGenerator<StateEvent> {
    this.#enter(context);
    checkKey(key);
    let before = this.#tables.revision + 1;
    for (;;) {
      const { items, complete } = this.#tables.history(key, before, historyPortion);
      for (const change of items) {
        yield change;
        this.#enter(context);
        before = change.revision;
      }
      if (complete) return;
    }
  }

  async #compact(revision: number, context: OperationContext): Promise<void> {
    this.#enter(context);
    await this.#queue.write((commit) => {
      this.#enter(context);
      if (revision > this.#tables.revision) {
        throw new VdcError(
          "OUT_OF_RANGE",
          `revision ${revision} has not been yet: the newest is ${this.#tables.revision}`,
          { details: { revision, newest: this.#tables.revision } },
        );
      }
      if (revision <= this.#tables.compactRevision) return;
      commit.touched();
      this.#tables.compact(revision);
    });
  }

  async #backup(path: string, context: OperationContext): Promise<{ readonly revision: number }> {
    this.#enter(context);
    return { revision: writeBackup(this.#database, resolve(path), this.#random.uuid(), () => this.#tables.revision) };
  }

  async #expire(): Promise<void> {
    if (this.#closed !== undefined) return;
    try {
      const ended = await this.#queue.write((commit) => {
        const due = this.#leases.due();
        for (const lease of due) this.#endLease(lease, commit);
        return due;
      });
      for (const lease of ended) this.#leases.forget(lease);
    } catch (error) {
      if (this.#closed !== undefined) return;
      this.#logger.error("ended leases could not be cleared; trying again", { error: toVdcError(error).message });
      this.#leases.retryIn(expiryRetryMs);
    }
  }

  #endLease(lease: string, commit: Commit): void {
    const keys = this.#tables.keysOfLease(lease);
    if (keys.length > 0) commit.nextRevision();
    for (const key of keys) {
      this.#tables.delete(key);
      commit.changed(key);
    }
    commit.touched();
    this.#tables.removeLease(lease);
  }

  #needLease(lease: string): void {
    // Both: its time may be up with its row still there, and its row gone by a revoke earlier in the same commit.
    if (!this.#leases.isAlive(lease) || !this.#tables.hasLease(lease)) throw noLease(lease);
  }

  #compactWhenDue(commit: Commit): void {
    const { revision, compactRevision } = this.#tables;
    // In portions of a tenth: compacting at each commit would double its work.
    const slack = Math.floor(this.#keepRevisions / 10);
    if (revision - compactRevision <= this.#keepRevisions + slack) return;
    commit.touched();
    this.#tables.compact(revision - this.#keepRevisions);
  }

  /** Refuses a call on a closed store, and one that was cancelled. */
  #enter(context: OperationContext): void {
    if (this.#closed !== undefined) throw this.#closed;
    if (isCancellable(context) && context.signal.aborted) throw toVdcError(context.signal.reason);
  }
}

function noLease(lease: string): VdcError {
  return new VdcError("NOT_FOUND", `there is no lease '${lease}': it has ended; grant another`, {
    reason: "VDC_STATE_LEASE_ENDED",
    details: { lease },
  });
}
