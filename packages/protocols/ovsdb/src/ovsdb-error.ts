/**
 * Why an OVSDB call failed. Test by code, never by text.
 *
 * - `OVSDB_CONNECT_FAILED`: no remote gave a usable connection in time. Retryable.
 * - `OVSDB_CLOSED`: the connection, or the client, is closed; what was asked had no effect. Retryable unless the client itself is closed.
 * - `OVSDB_OUTCOME_UNKNOWN`: the connection broke after a transaction was sent; it may or may not have been committed. Look before trying again.
 * - `OVSDB_TIMEOUT`: no answer in time. A transaction that was already sent may still take effect.
 * - `OVSDB_ABORTED`: the caller's signal fired. A transaction that was already sent may still take effect.
 * - `OVSDB_OPERATION_FAILED`: the server refused a transaction; nothing of it took effect. `details` names the operation and the server's error.
 * - `OVSDB_REQUEST_FAILED`: the server answered a request other than a transaction's operation with an error.
 * - `OVSDB_PROTOCOL`: the peer sent something that is not OVSDB, or not of the schema; the connection is dropped.
 * - `OVSDB_MESSAGE_TOO_LARGE`: the peer sent a message over the limit of size or depth; the connection is dropped.
 * - `OVSDB_BUSY`: too much is waiting to be sent. Retryable.
 * - `OVSDB_INVALID_ARGUMENT`: the call cannot be put on the wire; nothing was sent.
 * - `OVSDB_SCHEMA_MISMATCH`: the server's schema lacks a table or column that the call needs, or has it with another type; nothing was sent.
 */
export type OvsdbErrorCode =
  | "OVSDB_CONNECT_FAILED"
  | "OVSDB_CLOSED"
  | "OVSDB_OUTCOME_UNKNOWN"
  | "OVSDB_TIMEOUT"
  | "OVSDB_ABORTED"
  | "OVSDB_OPERATION_FAILED"
  | "OVSDB_REQUEST_FAILED"
  | "OVSDB_PROTOCOL"
  | "OVSDB_MESSAGE_TOO_LARGE"
  | "OVSDB_BUSY"
  | "OVSDB_INVALID_ARGUMENT"
  | "OVSDB_SCHEMA_MISMATCH";

/** What is known about a failure; which fields are there depends on the code. */
export interface OvsdbErrorDetails {
  /** The JSON-RPC method that failed. */
  readonly method?: string;
  /** The remote that was spoken to, as OVS writes it: `unix:/run/openvswitch/db.sock`. */
  readonly remote?: string;
  /** The position in the transaction of the operation that failed. Equal to the number of operations when the commit itself failed. */
  readonly index?: number;
  /** What failed at that position: `insert`, `wait`, ..., or `commit`. */
  readonly operation?: string;
  /** The table that is concerned. */
  readonly table?: string;
  /** The column that is concerned. */
  readonly column?: string;
  /** The server's error word (RFC 7047, 3.1 and 5.2): `constraint violation`, `timed out`, `not owner`, `referential integrity violation`, ... */
  readonly error?: string;
  /** The server's text. It is for people and changes between versions. */
  readonly explanation?: string;
}

export interface OvsdbErrorOptions {
  readonly cause?: unknown;
  readonly details?: OvsdbErrorDetails;
  /** Overrides what the code says. */
  readonly retryable?: boolean;
}

const RETRYABLE: ReadonlySet<OvsdbErrorCode> = new Set<OvsdbErrorCode>([
  "OVSDB_CONNECT_FAILED",
  "OVSDB_CLOSED",
  "OVSDB_BUSY",
]);

/** The one error class of this package. */
export class OvsdbError extends Error {
  override readonly name = "OvsdbError";
  readonly code: OvsdbErrorCode;
  readonly details: OvsdbErrorDetails;
  /** True when the same call may succeed later and certainly had no effect now. */
  readonly retryable: boolean;

  constructor(code: OvsdbErrorCode, message: string, options: OvsdbErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.retryable = options.retryable ?? RETRYABLE.has(code);
  }
}
