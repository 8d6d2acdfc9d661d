/**
 * Why a QMP call failed. Test by code, never by text.
 *
 * - `QMP_CONNECT_FAILED`: no server answered in the time or the number of attempts given. Retryable.
 * - `QMP_CLOSED`: the connection is closed; what became of a command in flight is unknown.
 * - `QMP_COMMAND_FAILED`: QEMU answered with an error; `details` holds its class and description.
 * - `QMP_TIMEOUT`: no answer in time. A command may still take effect.
 * - `QMP_ABORTED`: the caller's signal fired. A command may still take effect.
 * - `QMP_PROTOCOL`: the peer sent something that is not QMP; the connection is closed.
 * - `QMP_LINE_TOO_LONG`: the peer sent a line over the limit; the connection is closed.
 * - `QMP_BUSY`: too many commands are in flight. Retryable.
 * - `QMP_INVALID_ARGUMENT`: the command cannot be put on the wire; nothing was sent.
 */
export type QmpErrorCode =
  | "QMP_CONNECT_FAILED"
  | "QMP_CLOSED"
  | "QMP_COMMAND_FAILED"
  | "QMP_TIMEOUT"
  | "QMP_ABORTED"
  | "QMP_PROTOCOL"
  | "QMP_LINE_TOO_LONG"
  | "QMP_BUSY"
  | "QMP_INVALID_ARGUMENT";

/** What is known about a failure; which fields are there depends on the code. */
export interface QmpErrorDetails {
  /** The command that failed. */
  readonly command?: string;
  /** QEMU's error class: `GenericError`, `CommandNotFound`, `DeviceNotActive`, `DeviceNotFound`, `KVMMissingCap`. */
  readonly class?: string;
  /** QEMU's error text. It is for people and changes between versions. */
  readonly desc?: string;
}

export interface QmpErrorOptions {
  readonly cause?: unknown;
  readonly details?: QmpErrorDetails;
}

const RETRYABLE: ReadonlySet<QmpErrorCode> = new Set<QmpErrorCode>(["QMP_CONNECT_FAILED", "QMP_BUSY"]);

/** The one error class of this package. */
export class QmpError extends Error {
  override readonly name = "QmpError";
  readonly code: QmpErrorCode;
  readonly details: QmpErrorDetails;
  /** True when the same call may succeed later and certainly had no effect now. */
  readonly retryable: boolean;

  constructor(code: QmpErrorCode, message: string, options: QmpErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.retryable = RETRYABLE.has(code);
  }
}
