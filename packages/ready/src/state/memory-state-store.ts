import {
  type Clock,
  type DescribeInput,
  type Description,
  type OperationContext,
  refuseWhenOver,
  systemClock,
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

/** A change that was made: the key's new entry, or nothing for a deletion. */
export interface LoggedChange {
  readonly revision: number;
  readonly key: string;
  readonly entry: KeyValue | undefined;
}

/** What survives a restart of a {@link MemoryStateStore}: give it to another one. */
export interface MemoryDisk {
  log: LoggedChange[];
  compactRevision: number;
  readonly backups: Map<string, readonly LoggedChange[]>;
  /** Leases by their ids: how long each is, and what ends its timer. */
  readonly leases: Map<string, { readonly ttlMs: number; cancel: () => void }>;
  /** How many leases there have been. */
  leaseCount: number;
}

/**
 * The smallest state store that meets the contract: a log in memory, and every answer computed from it. The suite is proved with it,
 * and it serves as a model in property tests. It keeps nothing on disk, and is slow on purpose.
 */
export class MemoryStateStore implements StateStore {
  readonly facets: { readonly history: StateHistoryFacet; readonly backup: StateBackupFacet };
  readonly disk: MemoryDisk;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(options: { readonly clock?: Clock; readonly disk?: MemoryDisk } = {}) {
    this.#clock = options.clock ?? systemClock;
    this.disk = options.disk ?? {
      log: [],
      compactRevision: 0,
      backups: new Map(),
      leases: new Map(),
      leaseCount: 0,
    };
    for (const [lease, { ttlMs, cancel }] of this.disk.leases) {
      cancel();
      this.#startLease(lease, ttlMs);
    }
    this.facets = {
      history: {
        keyHistory: (input, context) => this.#keyHistory(input.key, context),
        compact: (input, context) => this.#compact(input.revision, context),
      },
      backup: { backup: (input) => this.#backup(input.path) },
    };
  }

  get revision(): number {
    return this.disk.log.at(-1)?.revision ?? 0;
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    return {
      implementation: { name: "memory", version: "1.0.0", simulated: true },
      facets: {
        history: { status: "available", limits: {}, evidence: "a log in memory" },
        backup: { status: "available", limits: {}, evidence: "a map in memory" },
      },
      attributes: { durable: false },
    };
  }

  async get(
    input: { readonly key: string },
    _context: OperationContext,
  ): Promise<{ readonly entry?: KeyValue; readonly revision: number }> {
    const entry = this.#asOf(this.revision).get(input.key);
    return { ...(entry === undefined ? {} : { entry }), revision: this.revision };
  }

  async transact(input: Transaction, context: OperationContext): Promise<TransactionResult> {
    refuseWhenOver(context);
    const keys = new Set(input.operations.map(({ key }) => key));
    if (keys.size < input.operations.length) throw new VdcError("INVALID_ARGUMENT", "a key is changed twice");
    if (keys.size > 512) throw new VdcError("INVALID_ARGUMENT", "more than 512 operations");
    for (const operation of input.operations) {
      if (operation.type === "put" && Buffer.byteLength(JSON.stringify(operation.value)) > maxValueBytes) {
        throw new VdcError(
          "INVALID_ARGUMENT",
          `the value of key '${operation.key}' is larger than ${maxValueBytes} bytes`,
        );
      }
    }
    const now = this.#asOf(this.revision);
    const failed = input.compare.filter(({ key, modRevision }) => (now.get(key)?.modRevision ?? 0) !== modRevision);
    if (failed.length > 0) {
      const conflicts = [...new Set(failed.map(({ key }) => key))].flatMap((key) => now.get(key) ?? []);
      return { committed: false, revision: this.revision, conflicts };
    }
    const revision = this.revision + 1;
    const changes: LoggedChange[] = [];
    for (const operation of input.operations) {
      const { key } = operation;
      const before = now.get(key);
      if (operation.type === "delete") {
        if (before !== undefined) changes.push({ revision, key, entry: undefined });
        continue;
      }
      const { lease } = operation;
      if (lease !== undefined && !this.disk.leases.has(lease)) throw noLease(lease);
      const entry: KeyValue = {
        key,
        value: structuredClone(operation.value),
        createRevision: before?.createRevision ?? revision,
        modRevision: revision,
        ...(lease === undefined ? {} : { lease }),
      };
      changes.push({ revision, key, entry });
    }
    this.#append(changes);
    return { committed: true, revision: this.revision };
  }

  async list(
    input: { readonly prefix: string; readonly limit?: number; readonly pageToken?: string },
    _context: OperationContext,
  ): Promise<{ readonly entries: readonly KeyValue[]; readonly revision: number; readonly nextPageToken?: string }> {
    const { prefix, limit = 1000, pageToken } = input;
    const [revision, after] = pageToken === undefined ? [this.revision, ""] : readToken(pageToken);
    if (revision < this.disk.compactRevision) throw new VdcError("ABORTED", "the page token is too old: list again");
    const all = [...this.#asOf(revision).values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => compareKeys(a.key, b.key))
      .filter(({ key }) => after === "" || compareKeys(key, after) > 0);
    const entries = all.slice(0, limit);
    const last = entries.at(-1);
    if (last === undefined || entries.length === all.length) return { entries, revision };
    return { entries, revision, nextPageToken: JSON.stringify([revision, last.key]) };
  }

  async *watch(
    input: { readonly prefix: string; readonly afterRevision: number },
    context: OperationContext,
  ): AsyncGenerator<StateEvent> {
    let told = input.afterRevision;
    let isFirst = true;
    for (;;) {
      if (context.signal.aborted) throw toVdcError(context.signal.reason);
      if (told + 1 < this.disk.compactRevision) {
        yield { type: "resync", compactRevision: this.disk.compactRevision };
        return;
      }
      const head = this.revision;
      const changes = this.disk.log.filter(({ revision, key }) => revision > told && key.startsWith(input.prefix));
      for (const change of changes) yield toEvent(change);
      if (isFirst || changes.length > 0) yield { type: "progress", revision: head };
      isFirst = false;
      told = Math.max(told, head);
      if (this.revision === head) await this.#change(context.signal);
    }
  }

  async grantLease(input: { readonly ttlMs: number }, context: OperationContext): Promise<StateLease> {
    refuseWhenOver(context);
    this.disk.leaseCount += 1;
    const lease = `lease-${this.disk.leaseCount}`;
    this.#startLease(lease, input.ttlMs);
    return { lease, ttlMs: input.ttlMs };
  }

  async keepAlive(input: { readonly lease: string }, context: OperationContext): Promise<StateLease> {
    refuseWhenOver(context);
    const found = this.disk.leases.get(input.lease);
    if (found === undefined) throw noLease(input.lease);
    found.cancel();
    this.#startLease(input.lease, found.ttlMs);
    return { lease: input.lease, ttlMs: found.ttlMs };
  }

  async revokeLease(input: { readonly lease: string }, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    this.#endLease(input.lease);
  }

  #startLease(lease: string, ttlMs: number): void {
    this.disk.leases.set(lease, { ttlMs, cancel: this.#clock.schedule(ttlMs, () => this.#endLease(lease)) });
  }

  #endLease(lease: string): void {
    this.disk.leases.get(lease)?.cancel();
    this.disk.leases.delete(lease);
    const revision = this.revision + 1;
    const keys = [...this.#asOf(this.revision).values()].filter((entry) => entry.lease === lease);
    this.#append(keys.map(({ key }) => ({ revision, key, entry: undefined })));
  }

  async *#keyHistory(key: string, _context: OperationContext): AsyncGenerator<StateEvent> {
    const { log, compactRevision } = this.disk;
    for (const change of log.filter((item) => item.key === key).reverse()) {
      if (change.revision >= compactRevision || change.entry === this.#asOf(compactRevision).get(key))
        yield toEvent(change);
    }
  }

  async #compact(revision: number, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    if (revision > this.revision) throw new VdcError("OUT_OF_RANGE", `revision ${revision} has not been yet`);
    this.disk.compactRevision = Math.max(this.disk.compactRevision, revision);
  }

  async #backup(path: string): Promise<{ readonly revision: number }> {
    if (this.disk.backups.has(path)) throw new VdcError("ALREADY_EXISTS", `'${path}' exists`);
    this.disk.backups.set(path, [...this.disk.log]);
    return { revision: this.revision };
  }

  #append(changes: readonly LoggedChange[]): void {
    if (changes.length === 0) return;
    this.disk.log.push(...[...changes].sort((a, b) => compareKeys(a.key, b.key)));
    for (const wake of [...this.#waiting]) wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #asOf(revision: number): Map<string, KeyValue> {
    const state = new Map<string, KeyValue>();
    for (const change of this.disk.log) {
      if (change.revision > revision) break;
      if (change.entry === undefined) state.delete(change.key);
      else state.set(change.key, change.entry);
    }
    return state;
  }
}

/** The most bytes that a value has as JSON text. */
const maxValueBytes = 1024 * 1024;

/** Keys are ordered by code point, as UTF-8 orders bytes. */
function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function toEvent({ revision, key, entry }: LoggedChange): StateEvent {
  return entry === undefined ? { type: "delete", revision, key } : { type: "put", revision, entry };
}

function readToken(text: string): readonly [number, string] {
  try {
    const [revision, key] = JSON.parse(text) as readonly [unknown, unknown];
    if (typeof revision === "number" && typeof key === "string") return [revision, key];
  } catch {
    // Said below.
  }
  throw new VdcError("ABORTED", "the page token is not one of this store: list again");
}

function noLease(lease: string): VdcError {
  return new VdcError("NOT_FOUND", `there is no lease '${lease}'`);
}
