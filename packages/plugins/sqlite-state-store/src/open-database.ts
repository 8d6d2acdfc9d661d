import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { VdcError } from "@vdc-os/core";
import { applicationId, migrate, pragmaNumber } from "./schema.ts";
import { damaged, isHeldElsewhere, isNotADatabase, sqliteFailure } from "./sqlite-failure.ts";

/** Who opened a database last, as its owner file says. The lock itself is SQLite's, so a killed owner holds nothing. */
interface OwnerFile {
  readonly pid: number;
  readonly host: string;
  /** ISO 8601. */
  readonly since: string;
}

/** Options of {@link openDatabase}. */
export interface OpenDatabaseOptions {
  /** Names a new store. */
  readonly uuid: () => string;
  /** Wall-clock milliseconds, for the owner file. */
  readonly now: () => number;
}

/**
 * Opens the database for one writer, and makes it when it is absent.
 *
 * Durable: write-ahead log with `synchronous = FULL`, so each commit is synced before it returns. Exclusive: the lock is held until
 * close, by the operating system, so a second opener fails with `FAILED_PRECONDITION` (`VDC_STATE_IN_USE`) and a killed one holds
 * nothing. A file of another application is refused with `VDC_STATE_FOREIGN_FILE`, a damaged one with `DATA_LOSS`.
 */
export function openDatabase(file: string, options: OpenDatabaseOptions): DatabaseSync {
  const path = resolve(file);
  const folder = dirname(path);
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const created = createEmpty(path);
    database = new DatabaseSync(path, { timeout: 0, enableForeignKeyConstraints: false });
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    // Nothing of a foreign file may change, so its mark is read before anything is written.
    const mark = pragmaNumber(database, "application_id");
    const isEmpty = pragmaNumber(database, "page_count") === 0;
    if (mark !== applicationId && !isEmpty) throw foreignFile(path, "is a SQLite database of another application");
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864");
    migrate(database, path, options.uuid);
    if (!created) check(database, path);
    // With WAL, an exclusive connection takes its lock at its first transaction; from here on it is held.
    database.exec("BEGIN IMMEDIATE; COMMIT");
    const owner: OwnerFile = { pid: process.pid, host: hostname(), since: new Date(options.now()).toISOString() };
    writeFileSync(ownerPath(path), `${JSON.stringify(owner)}\n`, { mode: 0o600 });
    if (created) syncFolder(folder);
    return database;
  } catch (error) {
    database?.close();
    if (isHeldElsewhere(error)) throw inUse(path);
    if (isNotADatabase(error)) {
      // The owner file stays beside a store for ever: where there is one, the file was ours and its head is gone.
      throw existsSync(ownerPath(path))
        ? damaged(path, "its header is not that of a SQLite database", error)
        : foreignFile(path, "is not a SQLite database");
    }
    throw fileFailure(path, error) ?? sqliteFailure(path, error);
  }
}

/** Makes the file with mode 0600 unless it exists. Says whether it did. SQLite gives the write-ahead log the same mode. */
function createEmpty(path: string): boolean {
  // An existing database must not be opened here: closing any descriptor of it would drop the locks that this process has on it.
  if (existsSync(path)) return false;
  try {
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function check(database: DatabaseSync, path: string): void {
  const first = Object.values(database.prepare("PRAGMA quick_check(1)").get() ?? {})[0];
  if (first !== "ok") throw damaged(path, String(first));
}

/** Syncs a folder, so that a new name in it survives power loss. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function ownerPath(path: string): string {
  return `${path}.owner`;
}

function inUse(path: string): VdcError {
  let holder = "another process";
  const details: Record<string, string | number> = { path };
  try {
    const owner = JSON.parse(readFileSync(ownerPath(path), "utf8")) as OwnerFile;
    holder = `process ${owner.pid} on host '${owner.host}' since ${owner.since}`;
    Object.assign(details, { pid: owner.pid, host: owner.host, since: owner.since });
  } catch {
    // The holder has not written its name yet.
  }
  return new VdcError(
    "FAILED_PRECONDITION",
    `the state database '${path}' is in use by ${holder}: stop that process, or open another directory`,
    { reason: "VDC_STATE_IN_USE", details },
  );
}

function foreignFile(path: string, what: string): VdcError {
  return new VdcError(
    "FAILED_PRECONDITION",
    `'${path}' ${what}, and it was left as it is: choose another path for the state, or move the file away`,
    { reason: "VDC_STATE_FOREIGN_FILE", details: { path } },
  );
}

function fileFailure(path: string, error: unknown): VdcError | undefined {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new VdcError(
      "PERMISSION_DENIED",
      `'${path}' can't be made or written (${code}): check the folder's owner and mode`,
      {
        cause: error,
        details: { path },
      },
    );
  }
  if (code === "ENOTDIR" || code === "EEXIST") {
    return new VdcError("FAILED_PRECONDITION", `the folder of '${path}' can't be made: a file is in the way`, {
      cause: error,
      details: { path },
    });
  }
  if (code === "ENOSPC") {
    return new VdcError("RESOURCE_EXHAUSTED", `no space is left for '${path}'`, { cause: error, details: { path } });
  }
  return undefined;
}
