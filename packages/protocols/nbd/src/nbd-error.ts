import type { NbdErrno } from "./wire/errno.ts";

/**
 * Why an NBD call failed. Test by code, never by text.
 *
 * - `NBD_CONNECT_FAILED`: nothing answered at the address. Retryable.
 * - `NBD_CLOSED`: the connection ended; whether a write in flight took effect is unknown.
 * - `NBD_ABORTED`: the caller's signal fired. A write may still take effect.
 * - `NBD_TIMEOUT`: the peer did not answer in time.
 * - `NBD_PROTOCOL`: the peer sent something that is not NBD; the connection is closed.
 * - `NBD_EXPORT_UNKNOWN`: the server has no export of that name, or none for this client.
 * - `NBD_TLS_REQUIRED`: the server tells nothing without TLS, and the call had no `tls`.
 * - `NBD_TLS_FAILED`: the server has no TLS, is not the one it should be, or refused the client's certificate.
 * - `NBD_REFUSED`: the server refused to negotiate.
 * - `NBD_UNSUPPORTED`: the server does not offer this operation.
 * - `NBD_REQUEST_FAILED`: the server answered with an error; `errno` names it.
 * - `NBD_INVALID_ARGUMENT`: the call cannot be made so; nothing was sent.
 * - `NBD_ADDRESS_IN_USE`: another server listens there.
 */
export type NbdErrorCode =
  | "NBD_CONNECT_FAILED"
  | "NBD_CLOSED"
  | "NBD_ABORTED"
  | "NBD_TIMEOUT"
  | "NBD_PROTOCOL"
  | "NBD_EXPORT_UNKNOWN"
  | "NBD_TLS_REQUIRED"
  | "NBD_TLS_FAILED"
  | "NBD_REFUSED"
  | "NBD_UNSUPPORTED"
  | "NBD_REQUEST_FAILED"
  | "NBD_INVALID_ARGUMENT"
  | "NBD_ADDRESS_IN_USE";

export interface NbdErrorOptions {
  readonly cause?: unknown;
  /** What the server answered, for `NBD_REQUEST_FAILED`. */
  readonly errno?: NbdErrno;
}

/** The one error class of this package. */
export class NbdError extends Error {
  override readonly name = "NbdError";
  readonly code: NbdErrorCode;
  /** What the server answered, for `NBD_REQUEST_FAILED`; undefined otherwise. A server that forwards this error answers the same. */
  readonly errno: NbdErrno | undefined;
  /** True when the same call may succeed later and certainly had no effect now. */
  readonly retryable: boolean;

  constructor(code: NbdErrorCode, message: string, options: NbdErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.errno = options.errno;
    this.retryable = code === "NBD_CONNECT_FAILED";
  }
}
