/**
 * What went wrong, as a stable word. Test an error by its code, never by its class or its text.
 *
 * - `NOT_QCOW2`, `HEADER_INVALID`, `UNSUPPORTED_VERSION`, `UNSUPPORTED_FEATURE`, `ENCRYPTED` (also: no passphrase was given): the file cannot be opened as it is.
 * - `CORRUPT`: the metadata contradicts itself; writing stops, reading elsewhere goes on.
 * - `BITMAP_INCONSISTENT`: a dirty bitmap was not stored by its last writer; it can only be deleted.
 * - `BACKING_*`: the chain below an image is refused, missing, a loop, or too long.
 * - `DATA_FILE_*`: the external data file that an image names is refused or missing.
 * - `REFCOUNT_LIMIT`: the image's refcounts are too narrow for one more reference to a cluster; nothing has changed.
 * - `WRONG_PASSPHRASE`: the passphrase that was given opens none of an encrypted image's key slots.
 * - `IN_USE`: another process holds the image. `FAILED`: an earlier sync failed, so only reopening helps.
 * - `NO_SPACE`: the file system is full; nothing acknowledged is lost, and the operation may be repeated.
 */
export type Qcow2ErrorCode =
  | "ABORTED"
  | "ALREADY_EXISTS"
  | "BACKING_LOOP"
  | "BACKING_MISSING"
  | "BACKING_REFUSED"
  | "BACKING_TOO_DEEP"
  | "BITMAP_INCONSISTENT"
  | "CLOSED"
  | "CORRUPT"
  | "DATA_FILE_MISSING"
  | "DATA_FILE_REFUSED"
  | "ENCRYPTED"
  | "FAILED"
  | "HEADER_INVALID"
  | "INVALID_ARGUMENT"
  | "IN_USE"
  | "IO_ERROR"
  | "NOT_FOUND"
  | "NOT_QCOW2"
  | "NOT_REGULAR_FILE"
  | "NO_SPACE"
  | "OUT_OF_RANGE"
  | "READ_ONLY"
  | "REFCOUNT_LIMIT"
  | "TOO_LARGE"
  | "UNSUPPORTED_FEATURE"
  | "UNSUPPORTED_VERSION"
  | "WRONG_PASSPHRASE";

export interface Qcow2ErrorOptions {
  readonly cause?: unknown;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The only error that this package throws on purpose. */
export class Qcow2Error extends Error {
  readonly code: Qcow2ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  /** Whether the same call can succeed later without changing anything else. */
  readonly retryable: boolean;

  constructor(code: Qcow2ErrorCode, message: string, options: Qcow2ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Qcow2Error";
    this.code = code;
    this.details = options.details ?? {};
    this.retryable = code === "IN_USE" || code === "NO_SPACE";
  }
}

const CODE_OF_ERRNO: Readonly<Record<string, Qcow2ErrorCode>> = {
  ENOENT: "NOT_FOUND",
  ENOTDIR: "NOT_FOUND",
  EEXIST: "ALREADY_EXISTS",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  EFBIG: "NO_SPACE",
  ELOOP: "NOT_REGULAR_FILE",
  EISDIR: "NOT_REGULAR_FILE",
  ENXIO: "NOT_REGULAR_FILE",
  EROFS: "READ_ONLY",
};

/** Wraps what the operating system threw; errors of our own pass unchanged. */
export function toQcow2Error(error: unknown, action: string): Qcow2Error {
  if (error instanceof Qcow2Error) return error;
  const errno = error instanceof Error && "code" in error ? String(error.code) : "";
  const text = error instanceof Error ? error.message : String(error);
  return new Qcow2Error(CODE_OF_ERRNO[errno] ?? "IO_ERROR", `${action}: ${text}`, { cause: error, details: { errno } });
}

/** Throws `ABORTED` when the caller's signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, action: string): void {
  if (signal?.aborted) throw new Qcow2Error("ABORTED", `${action} was aborted`, { cause: signal.reason });
}
