import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type { Json } from "@vdc-os/core";
import type { KeyValue, StateEvent } from "@vdc-os/core/state/v1";
import { prefixEnd } from "./prefix-range.ts";
import { damaged, sqliteFailure } from "./sqlite-failure.ts";

/** A change read back from the tables. */
export type Change = Extract<StateEvent, { readonly type: "put" | "delete" }>;

/** A place among the changes: everything up to this revision and key was seen. Keys are never empty, so `""` is before all of them. */
export interface ChangePosition {
  readonly revision: number;
  readonly key: string;
}

/** Some rows, and whether there are more. */
export interface Portion<T> {
  readonly items: readonly T[];
  readonly complete: boolean;
}

/** A portion ends once it holds this much text, so that memory stays bounded whatever the values' sizes. */
const portionBytes = 4 * 1024 * 1024;

type Row = Readonly<Record<string, SQLOutputValue>>;

const columns = "key, revision, create_revision, lease, value";

/**
 * The tables of one open database: reads of what is committed, and the single writes that a commit is made of.
 * It does no transaction of its own. Reads throw coded errors; writes throw SQLite's, for whoever makes the commit.
 */
export class StateTables {
  /** The newest revision; while a commit is being made, the one it has come to. */
  revision = 0;
  /** The oldest revision that can be read. */
  compactRevision = 0;
  readonly #path: string;
  readonly #statements: Readonly<Record<keyof typeof sql, StatementSync>>;

  constructor(database: DatabaseSync, path: string) {
    this.#path = path;
    this.#statements = Object.fromEntries(
      Object.entries(sql).map(([name, text]) => [name, database.prepare(text)]),
    ) as Record<keyof typeof sql, StatementSync>;
    this.reload();
  }

  /** Reads the counters again: after opening, and after a commit that failed. */
  reload(): void {
    const row = this.#statements.readCounters.get();
    if (row === undefined) throw damaged(this.#path, "the store's counters are missing");
    this.revision = Number(row.revision);
    this.compactRevision = Number(row.compact_revision);
  }

  /** Writes the counters. Part of every commit that changes something. */
  saveCounters(): void {
    this.#statements.writeCounters.run(this.revision, this.compactRevision);
  }

  get(key: string): KeyValue | undefined {
    try {
      const row = this.#statements.get.get(key);
      return row === undefined ? undefined : this.#entry(row);
    } catch (error) {
      throw sqliteFailure(this.#path, error);
    }
  }

  /** The `modRevision` of a key, 0 when it is absent. Reads no value. */
  revisionOf(key: string): number {
    return Number(this.#statements.revisionOf.get(key)?.revision ?? 0);
  }

  /** Entries with a prefix and after a key, in key order, as of a revision that is not compacted. */
  list(prefix: string, after: string, asOf: number, limit: number): Portion<KeyValue> {
    const range = [after === "" ? prefix : after, after, rangeEnd(prefix)] as const;
    const rows =
      asOf === this.revision
        ? this.#statements.listNow.iterate(...range, limit + 1)
        : this.#statements.listThen.iterate(asOf, ...range, asOf, asOf, ...range, limit + 1);
    return this.#portion(rows, limit, (row) => this.#entry(row));
  }

  /** Changes of keys with a prefix, after a position, by revision and then key. */
  changes(prefix: string, after: ChangePosition, limit: number): Portion<Change> {
    const range = [after.revision, after.revision, after.key, prefix, rangeEnd(prefix)] as const;
    const rows = this.#statements.changes.iterate(...range, ...range, limit + 1);
    return this.#portion(rows, limit, (row) => this.#change(row));
  }

  /** Changes of one key before a revision, newest first. */
  history(key: string, before: number, limit: number): Portion<Change> {
    const rows = this.#statements.history.iterate(key, before, key, before, limit + 1);
    return this.#portion(rows, limit, (row) => this.#change(row));
  }

  /** Puts a key at {@link StateTables.revision}, keeping what it was. */
  put(key: string, text: string, lease: string | undefined): void {
    const created = this.#keepPast(key);
    this.#statements.put.run(key, this.revision, created ?? this.revision, lease ?? null, text);
  }

  /** Deletes a key at {@link StateTables.revision}, keeping what it was. The key must be there. */
  delete(key: string): void {
    const created = this.#keepPast(key);
    this.#statements.delete.run(key);
    this.#statements.keepDeletion.run(key, this.revision, this.revision + 1, created ?? this.revision);
  }

  /** Forgets what can't be read as of `revision` or later. */
  compact(revision: number): void {
    this.#statements.compact.run(revision);
    this.compactRevision = revision;
  }

  leases(): readonly { readonly id: string; readonly ttlMs: number }[] {
    return this.#statements.leases.all().map((row) => ({ id: String(row.id), ttlMs: Number(row.ttl_ms) }));
  }

  hasLease(id: string): boolean {
    return this.#statements.hasLease.get(id) !== undefined;
  }

  addLease(id: string, ttlMs: number): void {
    this.#statements.addLease.run(id, ttlMs);
  }

  /** Removes a lease. Its keys are the caller's to delete. */
  removeLease(id: string): void {
    this.#statements.removeLease.run(id);
  }

  /** The keys that live by a lease. */
  keysOfLease(id: string): readonly string[] {
    return this.#statements.keysOfLease.all(id).map((row) => String(row.key));
  }

  #keepPast(key: string): number | undefined {
    const created = this.#statements.revisionOf.get(key)?.create_revision;
    if (created === undefined) return undefined;
    this.#statements.keepPast.run(this.revision, key);
    return Number(created);
  }

  #portion<T>(rows: Iterable<Row>, limit: number, read: (row: Row) => T): Portion<T> {
    const items: T[] = [];
    let bytes = 0;
    try {
      for (const row of rows) {
        if (items.length === limit || bytes >= portionBytes) return { items, complete: false };
        items.push(read(row));
        bytes += String(row.key).length + (typeof row.value === "string" ? row.value.length : 0);
      }
    } catch (error) {
      throw sqliteFailure(this.#path, error);
    }
    return { items, complete: true };
  }

  #change(row: Row): Change {
    const revision = Number(row.revision);
    if (row.value === null) return { type: "delete", revision, key: String(row.key) };
    return { type: "put", revision, entry: this.#entry(row) };
  }

  #entry(row: Row): KeyValue {
    let value: Json;
    try {
      value = JSON.parse(String(row.value)) as Json;
    } catch (error) {
      throw damaged(this.#path, `the value of key '${String(row.key)}' is not JSON`, error);
    }
    return {
      key: String(row.key),
      value,
      createRevision: Number(row.create_revision),
      modRevision: Number(row.revision),
      ...(row.lease === null ? {} : { lease: String(row.lease) }),
    };
  }
}

/** The end of a prefix's range of keys. SQLite orders every blob after every text, so an empty one is after all keys. */
function rangeEnd(prefix: string): string | Uint8Array {
  return prefixEnd(prefix) ?? new Uint8Array();
}

const inRange = "key >= ? AND key <> ? AND key < ?";
// A unary plus keeps the planner on the revision index: a backlog is short, a prefix may hold everything.
const after = "revision >= ? AND (revision > ? OR key > ?) AND +key >= ? AND +key < ?";

const sql = {
  readCounters: "SELECT revision, compact_revision FROM store WHERE id = 1",
  writeCounters: "UPDATE store SET revision = ?, compact_revision = ? WHERE id = 1",
  get: `SELECT ${columns} FROM entry WHERE key = ?`,
  revisionOf: "SELECT revision, create_revision FROM entry WHERE key = ?",
  listNow: `SELECT ${columns} FROM entry WHERE ${inRange} ORDER BY key LIMIT ?`,
  listThen: `
    SELECT ${columns} FROM entry WHERE revision <= ? AND ${inRange}
    UNION ALL
    SELECT ${columns} FROM past WHERE revision <= ? AND until > ? AND value IS NOT NULL AND ${inRange}
    ORDER BY key LIMIT ?`,
  changes: `
    SELECT ${columns} FROM entry WHERE ${after}
    UNION ALL
    SELECT ${columns} FROM past WHERE ${after}
    ORDER BY revision, key LIMIT ?`,
  history: `
    SELECT ${columns} FROM entry WHERE key = ? AND revision < ?
    UNION ALL
    SELECT ${columns} FROM past WHERE key = ? AND revision < ?
    ORDER BY revision DESC LIMIT ?`,
  put: `
    INSERT INTO entry (${columns}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, lease = excluded.lease, value = excluded.value`,
  delete: "DELETE FROM entry WHERE key = ?",
  keepPast: `
    INSERT INTO past (key, revision, until, create_revision, lease, value)
    SELECT key, revision, ?, create_revision, lease, value FROM entry WHERE key = ?`,
  keepDeletion:
    "INSERT INTO past (key, revision, until, create_revision, lease, value) VALUES (?, ?, ?, ?, NULL, NULL)",
  compact: "DELETE FROM past WHERE until <= ?",
  leases: "SELECT id, ttl_ms FROM lease",
  hasLease: "SELECT 1 FROM lease WHERE id = ?",
  addLease: "INSERT INTO lease (id, ttl_ms) VALUES (?, ?)",
  removeLease: "DELETE FROM lease WHERE id = ?",
  keysOfLease: "SELECT key FROM entry WHERE lease = ? ORDER BY key",
} as const;
