/** What went wrong. */
export type OpenFlowErrorCode =
  /** No connection could be made. */
  | "OPENFLOW_CONNECT_FAILED"
  /** The connection ended, or was given up. */
  | "OPENFLOW_DISCONNECTED"
  /** The peer sent what is no OpenFlow 1.3, or more than may be. */
  | "OPENFLOW_PROTOCOL"
  /** The switch refused a message: `details` tells its type and code. */
  | "OPENFLOW_REFUSED"
  /** No answer in time. */
  | "OPENFLOW_TIMEOUT"
  /** What should be sent can't be: a flow that is too long, a value out of range. */
  | "OPENFLOW_INVALID_ARGUMENT";

/** What a switch said when it refused a message (OpenFlow 1.3.5, 7.4.4). */
export interface OpenFlowRefusal {
  readonly type: number;
  readonly code: number;
}

/** A failure of an OpenFlow connection. Test by `code`. */
export class OpenFlowError extends Error {
  override readonly name = "OpenFlowError";
  readonly code: OpenFlowErrorCode;
  readonly details: OpenFlowRefusal | undefined;

  constructor(
    code: OpenFlowErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: OpenFlowRefusal } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }
}
