import type { OpenFlowRefusal } from "./refusal/openflow-refusal.ts";

/**
 * Why an OpenFlow call failed. Test by code, never by text.
 *
 * - `OPENFLOW_CONNECT_FAILED`: no connection could be made. Retryable.
 * - `OPENFLOW_CLOSED`: the connection has ended. What was sent before may have taken effect, some of it or all.
 * - `OPENFLOW_REFUSED`: the switch answered with an error; `details` holds its type, its code and their name.
 * - `OPENFLOW_TIMEOUT`: no answer in time. What was asked may still take effect.
 * - `OPENFLOW_ABORTED`: the caller's signal fired. What was asked may still take effect.
 * - `OPENFLOW_PROTOCOL`: the peer sent what is no OpenFlow 1.3, or more than may be; the connection is dropped.
 * - `OPENFLOW_BUSY`: too much is waiting to be sent; nothing of this was. Retryable.
 * - `OPENFLOW_INVALID_ARGUMENT`: what should be sent can't be: a flow that is too long, a value out of range. Nothing was sent.
 */
export type OpenFlowErrorCode =
  | "OPENFLOW_CONNECT_FAILED"
  | "OPENFLOW_CLOSED"
  | "OPENFLOW_REFUSED"
  | "OPENFLOW_TIMEOUT"
  | "OPENFLOW_ABORTED"
  | "OPENFLOW_PROTOCOL"
  | "OPENFLOW_BUSY"
  | "OPENFLOW_INVALID_ARGUMENT";

export interface OpenFlowErrorOptions {
  readonly cause?: unknown;
  /** What the switch said. With `OPENFLOW_REFUSED` alone. */
  readonly details?: OpenFlowRefusal;
}

const RETRYABLE: ReadonlySet<OpenFlowErrorCode> = new Set<OpenFlowErrorCode>([
  "OPENFLOW_CONNECT_FAILED",
  "OPENFLOW_BUSY",
]);

/** The one error class of this package. */
export class OpenFlowError extends Error {
  override readonly name = "OpenFlowError";
  readonly code: OpenFlowErrorCode;
  readonly details: OpenFlowRefusal | undefined;
  /** True when the same call may succeed later and certainly had no effect now. */
  readonly retryable: boolean;

  constructor(code: OpenFlowErrorCode, message: string, options: OpenFlowErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
    this.retryable = RETRYABLE.has(code);
  }
}
