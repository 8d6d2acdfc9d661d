import { type Json, type Random, VdcError } from "@vdc-os/core";
import type { KeyValue, StateEvent, Transaction, TransactionResult } from "@vdc-os/core/state/v1";
import type { StateAccess } from "../src/store/state-access.ts";

/** Where a connection is cut: at which transaction (from 1), and whether that one was committed before. */
export interface Cut {
  readonly atTransaction: number;
  readonly committed: boolean;
}

/** A connection to a {@link MemoryState}. Once cut it fails for good, as for a process that was killed. */
export interface MemoryConnection extends StateAccess {
  /** How many transactions were asked for. */
  readonly transactions: number;
  readonly isCut: boolean;
  /** Resolves when the connection is cut. */
  readonly cut: Promise<void>;
  /** Cuts it now. */
  kill(): void;
}

type Change = Exclude<StateEvent, { type: "progress" | "resync" }>;

/** A state store's data, kept in memory across connections. */
export class MemoryState {
  revision = 0;
  readonly #entries = new Map<string, KeyValue>();
  readonly #changes: Change[] = [];
  #compacted = 0;
  #wake = Promise.withResolvers<void>();

  /** Every entry, by key. */
  entries(prefix = ""): readonly KeyValue[] {
    return [...this.#entries.values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Forgets every change so far: watches that are behind get `resync`. */
  compact(): void {
    this.#compacted = this.revision;
    this.#changes.length = 0;
    this.wake();
  }

  /** Lets watches look again. */
  wake(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }

  commit({ compare, operations }: Transaction): TransactionResult {
    const failed = compare.filter(({ key, modRevision }) => (this.#entries.get(key)?.modRevision ?? 0) !== modRevision);
    if (failed.length > 0) {
      const conflicts = failed.flatMap(({ key }) => this.#entries.get(key) ?? []);
      return { committed: false, revision: this.revision, conflicts };
    }
    if (new Set(operations.map(({ key }) => key)).size < operations.length || operations.length > 512) {
      throw new VdcError("INVALID_ARGUMENT", "a key is changed twice, or there are too many changes");
    }
    const revision = this.revision + 1;
    let changed = false;
    for (const operation of operations) {
      const old = this.#entries.get(operation.key);
      if (operation.type === "delete") {
        if (old === undefined) continue;
        this.#entries.delete(operation.key);
        this.#changes.push({ type: "delete", revision, key: operation.key });
      } else {
        assertJson(operation.value, operation.key);
        const value = structuredClone(operation.value);
        const entry = {
          key: operation.key,
          value,
          createRevision: old?.createRevision ?? revision,
          modRevision: revision,
        };
        this.#entries.set(operation.key, entry);
        this.#changes.push({ type: "put", revision, entry });
      }
      changed = true;
    }
    if (changed) this.revision = revision;
    this.wake();
    return { committed: true, revision: this.revision };
  }

  /** A connection; given randomness, its calls take turns at random. */
  connect(cutAt?: Cut, random?: Random): MemoryConnection {
    const cut = Promise.withResolvers<void>();
    let transactions = 0;
    let isCut = false;
    const kill = (): void => {
      isCut = true;
      cut.resolve();
      this.wake();
    };
    const alive = async (): Promise<void> => {
      const turns = random === undefined ? 1 : 1 + Math.floor(random.next() * 8);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      if (isCut) throw new VdcError("UNAVAILABLE", "the connection was cut");
    };
    const state = this;
    return {
      get transactions() {
        return transactions;
      },
      get isCut() {
        return isCut;
      },
      cut: cut.promise,
      kill,
      async get({ key }) {
        await alive();
        const entry = state.#entries.get(key);
        return { revision: state.revision, ...(entry && { entry: structuredClone(entry) }) };
      },
      async list({ prefix, limit = 100, pageToken }) {
        await alive();
        const [after, asOf] =
          pageToken === undefined ? ["", state.revision] : (JSON.parse(pageToken) as [string, number]);
        if (asOf !== state.revision) throw new VdcError("ABORTED", "the page token is too old");
        const rest = state.entries(prefix).filter(({ key }) => key > after);
        const entries = structuredClone(rest.slice(0, limit));
        const more = rest.length > limit && { nextPageToken: JSON.stringify([entries.at(-1)?.key, asOf]) };
        return { entries, revision: asOf, ...more };
      },
      async transact(transaction) {
        await alive();
        transactions++;
        const isLast = transactions === cutAt?.atTransaction;
        if (isLast && !cutAt?.committed) kill();
        await alive();
        const result = state.commit(transaction);
        if (isLast) kill();
        await alive();
        return result;
      },
      async *watch({ prefix, afterRevision }, options = {}) {
        const { signal } = options;
        let position = afterRevision;
        const onAbort = (): void => state.wake();
        signal?.addEventListener("abort", onAbort, { once: true });
        try {
          for (;;) {
            await alive();
            signal?.throwIfAborted();
            if (position < state.#compacted) {
              yield { type: "resync", compactRevision: state.#compacted };
              return;
            }
            const seen = state.revision;
            const wake = state.#wake.promise;
            for (const change of state.#changes.filter(({ revision }) => revision > position && revision <= seen)) {
              const key = change.type === "put" ? change.entry.key : change.key;
              if (!key.startsWith(prefix)) continue;
              yield structuredClone(change);
              await alive();
              signal?.throwIfAborted();
            }
            if (seen > position) yield { type: "progress", revision: seen };
            position = Math.max(position, seen);
            if (state.revision === seen && !isCut && !signal?.aborted) await wake;
          }
        } finally {
          signal?.removeEventListener("abort", onAbort);
        }
      },
    };
  }
}

function assertJson(value: Json, key: string): void {
  const text = JSON.stringify(value);
  const visit = (part: unknown): void => {
    if (part === undefined) throw new VdcError("INVALID_ARGUMENT", `'${key}' is not JSON: ${text}`);
    if (typeof part === "object" && part !== null) for (const member of Object.values(part)) visit(member);
  };
  visit(value);
}
