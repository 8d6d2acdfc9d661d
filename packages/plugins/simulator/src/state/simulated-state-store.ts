import { writeFile } from "node:fs/promises";
import { type Clock, type Description, type OperationContext, toVdcError, VdcError } from "@vdc-os/core";
import {
  type KeyValue,
  type StateBackupFacet,
  type StateEvent,
  type StateHistoryFacet,
  type StateLease,
  type StateStore,
  stateStore,
  type Transaction,
  type TransactionResult,
} from "@vdc-os/core/state/v1";
import { describeSimulated } from "../world/simulated-description.ts";
import type { WorldServices } from "../world/world-services.ts";
import { compareKeys, type StateChange, StateLog } from "./state-log.ts";

interface Lease {
  readonly ttlMs: number;
  cancel(): void;
}

/** The most bytes that a value has as JSON text. */
const maxValueBytes = 1024 * 1024;

/**
 * A state store in memory, with etcd's model. It outlives the kernels that use it and ends with its world: nothing is on a disk.
 */
export class SimulatedStateStore implements StateStore {
  readonly facets: { readonly history: StateHistoryFacet; readonly backup: StateBackupFacet };
  readonly #world: WorldServices;
  readonly #clock: Clock;
  readonly #log: StateLog = new StateLog();
  readonly #leases: Map<string, Lease> = new Map();
  readonly #waiting: Set<() => void> = new Set();

  constructor(world: WorldServices) {
    this.#world = world;
    this.#clock = world.clock;
    this.facets = {
      history: {
        keyHistory: ({ key }) => this.#keyHistory(key),
        compact: async ({ revision }) => this.#log.compact(revision),
      },
      backup: { backup: ({ path }) => this.#backup(path) },
    };
  }

  async describe(): Promise<Description> {
    return describeSimulated(stateStore, {
      available: { history: { revisions: 0 }, backup: {} },
      attributes: { durable: false },
    });
  }

  async get({ key }: { readonly key: string }): Promise<{ readonly entry?: KeyValue; readonly revision: number }> {
    const entry = this.#log.now.get(key);
    return { ...(entry === undefined ? {} : { entry }), revision: this.#log.revision };
  }

  async transact({ compare, operations }: Transaction): Promise<TransactionResult> {
    const { now } = this.#log;
    const keys = new Set(operations.map(({ key }) => key));
    if (keys.size < operations.length) throw new VdcError("INVALID_ARGUMENT", "a transaction changes a key twice");
    if (keys.size > 512) throw new VdcError("INVALID_ARGUMENT", "a transaction has at most 512 operations");
    for (const operation of operations) {
      if (operation.type !== "put" || Buffer.byteLength(JSON.stringify(operation.value)) <= maxValueBytes) continue;
      const { key } = operation;
      throw new VdcError("INVALID_ARGUMENT", `the value of key '${key}' is larger than ${maxValueBytes} bytes as JSON`);
    }
    const failed = compare.filter(({ key, modRevision }) => (now.get(key)?.modRevision ?? 0) !== modRevision);
    if (failed.length > 0) {
      const conflicts = [...new Set(failed.map(({ key }) => key))].flatMap((key) => now.get(key) ?? []);
      return { committed: false, revision: this.#log.revision, conflicts };
    }
    const revision = this.#log.revision + 1;
    const changes: StateChange[] = [];
    for (const operation of operations) {
      const { key } = operation;
      const before = now.get(key);
      if (operation.type === "delete") {
        if (before !== undefined) changes.push({ revision, key, entry: undefined });
        continue;
      }
      const { lease } = operation;
      if (lease !== undefined && !this.#leases.has(lease)) throw noLease(lease);
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
    return { committed: true, revision: this.#log.revision };
  }

  async list({
    prefix,
    limit = 1000,
    pageToken,
  }: {
    readonly prefix: string;
    readonly limit?: number;
    readonly pageToken?: string;
  }): Promise<{ readonly entries: readonly KeyValue[]; readonly revision: number; readonly nextPageToken?: string }> {
    const [revision, after] = pageToken === undefined ? [this.#log.revision, undefined] : readToken(pageToken);
    const all = [...this.#log.asOf(revision).values()]
      .filter(({ key }) => key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0))
      .sort((a, b) => compareKeys(a.key, b.key));
    const entries = all.slice(0, limit);
    const last = entries.at(-1);
    if (last === undefined || entries.length === all.length) return { entries, revision };
    return { entries, revision, nextPageToken: JSON.stringify([revision, last.key]) };
  }

  async *watch(
    { prefix, afterRevision }: { readonly prefix: string; readonly afterRevision: number },
    context: OperationContext,
  ): AsyncGenerator<StateEvent> {
    const { signal } = context;
    let told = afterRevision;
    let isFirst = true;
    for (;;) {
      if (signal.aborted) throw toVdcError(signal.reason);
      if (told + 1 < this.#log.compactRevision) {
        yield { type: "resync", compactRevision: this.#log.compactRevision };
        return;
      }
      const head = this.#log.revision;
      let some = isFirst;
      for (const change of this.#log.after(told)) {
        if (!change.key.startsWith(prefix) || change.revision > head) continue;
        some = true;
        yield toEvent(change);
      }
      if (some) yield { type: "progress", revision: head };
      isFirst = false;
      told = Math.max(told, head);
      if (this.#log.revision === head) await this.#change(signal);
    }
  }

  async grantLease({ ttlMs }: { readonly ttlMs: number }): Promise<StateLease> {
    const lease = this.#world.nextId("lease");
    this.#startLease(lease, ttlMs);
    return { lease, ttlMs };
  }

  async keepAlive({ lease }: { readonly lease: string }): Promise<StateLease> {
    const found = this.#leases.get(lease);
    if (found === undefined) throw noLease(lease);
    found.cancel();
    this.#startLease(lease, found.ttlMs);
    return { lease, ttlMs: found.ttlMs };
  }

  async revokeLease({ lease }: { readonly lease: string }): Promise<void> {
    this.#endLease(lease);
  }

  /** Ends the timers of leases, so that nothing keeps the process. */
  dispose(): void {
    for (const { cancel } of this.#leases.values()) cancel();
    this.#leases.clear();
  }

  #startLease(lease: string, ttlMs: number): void {
    this.#leases.set(lease, { ttlMs, cancel: this.#clock.schedule(ttlMs, () => this.#endLease(lease)) });
  }

  #endLease(lease: string): void {
    this.#leases.get(lease)?.cancel();
    this.#leases.delete(lease);
    const revision = this.#log.revision + 1;
    const gone = [...this.#log.now.values()].filter((entry) => entry.lease === lease);
    this.#append(gone.map(({ key }) => ({ revision, key, entry: undefined })));
  }

  async *#keyHistory(key: string): AsyncGenerator<StateEvent> {
    for (const change of this.#log.historyOf(key)) yield toEvent(change);
  }

  async #backup(path: string): Promise<{ readonly revision: number }> {
    const { revision } = this.#log;
    const copy = JSON.stringify({ simulated: true, revision, entries: [...this.#log.now.values()] });
    try {
      await writeFile(path, copy, { flag: "wx", mode: 0o600 });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") throw new VdcError("ALREADY_EXISTS", `'${path}' exists: a backup overwrites nothing`);
      throw new VdcError("PERMISSION_DENIED", `the backup '${path}' could not be written (${code})`, { cause: error });
    }
    return { revision };
  }

  #append(changes: readonly StateChange[]): void {
    if (changes.length === 0) return;
    this.#log.append(changes);
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
}

function toEvent({ revision, key, entry }: StateChange): StateEvent {
  return entry === undefined ? { type: "delete", revision, key } : { type: "put", revision, entry };
}

function readToken(text: string): readonly [number, string] {
  try {
    const token: unknown = JSON.parse(text);
    if (Array.isArray(token) && typeof token[0] === "number" && typeof token[1] === "string")
      return [token[0], token[1]];
  } catch {
    // Said below.
  }
  throw new VdcError("ABORTED", "the page token is not one of this store: list again");
}

function noLease(lease: string): VdcError {
  return new VdcError("NOT_FOUND", `there is no lease '${lease}'`);
}
