import { isVdcError, VdcError } from "@vdc-os/core";

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html) that say something of their own. */
const PERM = 3;
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

/** The primary result code of an error that node:sqlite threw; `undefined` for any other error. */
export function sqliteCode(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown };
  return code === "ERR_SQLITE_ERROR" && typeof errcode === "number" ? errcode & 0xff : undefined;
}

/** Whether SQLite found that another connection holds the file. */
export function isHeldElsewhere(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === BUSY || code === LOCKED;
}

/** Whether the file does not begin as a SQLite database does. */
export function isNotADatabase(error: unknown): boolean {
  return sqliteCode(error) === NOTADB;
}

/** Whether the disk failed, so that what the file holds can't be known until it is opened anew. */
export function isDiskFailure(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === IOERR || code === CORRUPT || code === NOTADB;
}

/** The error of a damaged database, and what to do about it. */
export function damaged(path: string, what: string, cause?: unknown): VdcError {
  return new VdcError(
    "DATA_LOSS",
    `the state database '${path}' is damaged (${what}): stop the datacenter, keep a copy of the file with its '-wal' file, and put the newest backup in its place`,
    { reason: "VDC_STATE_DAMAGED", details: { path }, cause },
  );
}

/** Turns what SQLite threw into an error with a code, and says what to do. */
export function sqliteFailure(path: string, error: unknown): VdcError {
  if (isVdcError(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const make = (code: ConstructorParameters<typeof VdcError>[0], message: string): VdcError =>
    new VdcError(code, message, { cause: error, details: { path } });
  switch (sqliteCode(error)) {
    case CORRUPT:
    case NOTADB:
      return damaged(path, text, error);
    case FULL:
      return make(
        "RESOURCE_EXHAUSTED",
        `the disk of the state database '${path}' is full: free some space, then try again`,
      );
    case IOERR:
      return make("UNAVAILABLE", `reading or writing the state database '${path}' failed (${text}): check the disk`);
    case BUSY:
    case LOCKED:
      return make("UNAVAILABLE", `the state database '${path}' is held by another connection`);
    case PERM:
    case READONLY:
    case CANTOPEN:
      return make(
        "PERMISSION_DENIED",
        `the state database '${path}' can't be opened for writing (${text}): check its owner and mode`,
      );
    default:
      return make("INTERNAL", `the state database '${path}' failed: ${text}`);
  }
}
