import { EventEmitter, once } from "node:events";
import type { KeyValue } from "@vdc-os/core/state/v1";

/** What became of a key: its new entry, or none when it was deleted. */
export interface Change {
  readonly revision: number;
  readonly key: string;
  readonly entry: KeyValue | undefined;
}

const databases = new Map<string, MemoryDatabase>();

/**
 * Stands in for the database that the plugin is for, until that takes its place: a log of changes, and every answer computed from it. It is in memory, and
 * outlives the plugin as a database does.
 */
export class MemoryDatabase {
  /** How long each lease is, in milliseconds. */
  readonly leases: Map<string, number> = new Map();
  readonly #log: Change[] = [];
  readonly #events = new EventEmitter().setMaxListeners(0);

  /** The database at an address. */
  static at(address: string): MemoryDatabase {
    const database = databases.get(address) ?? new MemoryDatabase();
    databases.set(address, database);
    return database;
  }

  /** Counts up by one with each transaction that changes something. */
  get revision(): number {
    return this.#log.at(-1)?.revision ?? 0;
  }

  /** The entries as of a revision, by their keys. */
  entries(revision: number = this.revision): ReadonlyMap<string, KeyValue> {
    const entries = new Map<string, KeyValue>();
    for (const { key, entry } of this.#log.filter((change) => change.revision <= revision)) {
      if (entry === undefined) entries.delete(key);
      else entries.set(key, entry);
    }
    return entries;
  }

  /** What was changed after a revision, in order. */
  changesAfter(revision: number): readonly Change[] {
    return this.#log.filter((change) => change.revision > revision);
  }

  /** Makes all changes of one transaction. */
  commit(changes: readonly Change[]): void {
    this.#log.push(...changes.toSorted((a, b) => compareKeys(a.key, b.key)));
    this.#events.emit("changed");
  }

  /** Resolves at the next commit, or when the signal aborts. */
  async nextCommit(signal: AbortSignal): Promise<void> {
    await once(this.#events, "changed", { signal }).catch(() => undefined);
  }
}

/** Keys are ordered by code point, as UTF-8 orders bytes. JavaScript's `<` has another order beyond U+FFFF. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
