import type { DatabaseSync } from "node:sqlite";
import { VdcError } from "@vdc-os/core";

/** Marks a database file as a state store of ours: "VDCS" in `PRAGMA application_id`. */
export const applicationId = 0x56444353;

/**
 * The steps that bring a database from one format to the next; `PRAGMA user_version` counts those that were done.
 *
 * `entry` holds what is; `past` holds what was, each row readable as of the revisions `revision <= r < until`. A deletion is a row
 * of `past` without a value, whose `until` is the next revision, so that one rule compacts both. No value is stored twice.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    uuid TEXT NOT NULL,
    revision INTEGER NOT NULL,
    compact_revision INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE entry (
    key TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    create_revision INTEGER NOT NULL,
    lease TEXT,
    value TEXT NOT NULL
  ) STRICT;
  CREATE INDEX entry_revision ON entry (revision, key);
  CREATE INDEX entry_lease ON entry (lease) WHERE lease IS NOT NULL;
  CREATE TABLE past (
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    until INTEGER NOT NULL,
    create_revision INTEGER NOT NULL,
    lease TEXT,
    value TEXT,
    UNIQUE (key, revision)
  ) STRICT;
  CREATE INDEX past_revision ON past (revision, key);
  CREATE INDEX past_until ON past (until);
  CREATE TABLE lease (id TEXT PRIMARY KEY, ttl_ms REAL NOT NULL) STRICT, WITHOUT ROWID;
  `,
];

/** The format that this version writes. */
export const formatVersion: number = migrations.length;

/** Brings a database to {@link formatVersion}, in one transaction. A newer format is refused with `FAILED_PRECONDITION`. */
export function migrate(database: DatabaseSync, path: string, uuid: () => string): void {
  const found = pragmaNumber(database, "user_version");
  if (found > formatVersion) {
    throw new VdcError(
      "FAILED_PRECONDITION",
      `the state database '${path}' has format ${found}, and this version knows up to ${formatVersion}: use the newer version of the plugin that wrote it`,
      { reason: "VDC_STATE_NEWER_FORMAT", details: { path, format: found, known: formatVersion } },
    );
  }
  if (found === formatVersion) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const step of migrations.slice(found)) database.exec(step);
    if (found === 0) {
      database.prepare("INSERT INTO store (id, uuid, revision, compact_revision) VALUES (1, ?, 0, 0)").run(uuid());
    }
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${formatVersion}; COMMIT`);
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** A numeric pragma's value. */
export function pragmaNumber(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}
