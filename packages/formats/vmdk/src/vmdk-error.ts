/**
 * What went wrong, as a stable word. Test an error by its code, never by its class or its text.
 *
 * - `NOT_VMDK`, `HEADER_INVALID`, `UNSUPPORTED_VERSION`, `UNSUPPORTED_FEATURE`: the file can't be opened as it is.
 * - `EXTENT_REFUSED`: the descriptor names other files, which are never opened.
 * - `CORRUPT`: the tables or a grain contradict themselves; reading elsewhere goes on.
 */
export type VmdkErrorCode =
  | "ABORTED"
  | "ALREADY_EXISTS"
  | "CLOSED"
  | "CORRUPT"
  | "EXTENT_REFUSED"
  | "HEADER_INVALID"
  | "INVALID_ARGUMENT"
  | "IO_ERROR"
  | "NOT_FOUND"
  | "NOT_REGULAR_FILE"
  | "NOT_VMDK"
  | "NO_SPACE"
  | "OUT_OF_RANGE"
  | "TOO_LARGE"
  | "UNSUPPORTED_FEATURE"
  | "UNSUPPORTED_VERSION";

/** The only error that this package throws on purpose. */
export class VmdkError extends Error {
  readonly code: VmdkErrorCode;

  constructor(code: VmdkErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = "VmdkError";
    this.code = code;
  }
}

const CODE_OF_ERRNO: Readonly<Record<string, VmdkErrorCode>> = {
  ENOENT: "NOT_FOUND",
  ENOTDIR: "NOT_FOUND",
  EEXIST: "ALREADY_EXISTS",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  EFBIG: "NO_SPACE",
  ELOOP: "NOT_REGULAR_FILE",
  EISDIR: "NOT_REGULAR_FILE",
  ENXIO: "NOT_REGULAR_FILE",
};

/** Wraps what the operating system threw; errors of our own pass unchanged. */
export function toVmdkError(error: unknown, action: string): VmdkError {
  if (error instanceof VmdkError) return error;
  const errno = error instanceof Error && "code" in error ? String(error.code) : "";
  const text = error instanceof Error ? error.message : String(error);
  return new VmdkError(CODE_OF_ERRNO[errno] ?? "IO_ERROR", `${action}: ${text}`, { cause: error });
}
