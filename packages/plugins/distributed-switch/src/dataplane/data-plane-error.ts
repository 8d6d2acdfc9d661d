/**
 * - `INVALID_ARGUMENT`: the configuration contradicts itself; `details` lists every problem.
 * - `FAILED_PRECONDITION`: an older generation than the one realised, or another configuration under the same generation.
 * - `NOT_FOUND`: no such port.
 * - `UNAVAILABLE`: the listen address can't be had now; a retry can help.
 * - `CANCELLED`: the signal was aborted, or the data plane is closed.
 */
export type DataPlaneErrorCode = "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "NOT_FOUND" | "UNAVAILABLE" | "CANCELLED";

/** What the data plane's control methods reject with. Test `code`, not the text. */
export class DataPlaneError extends Error {
  override readonly name = "DataPlaneError";
  readonly code: DataPlaneErrorCode;
  readonly retryable: boolean;
  readonly details: readonly string[];

  constructor(
    code: DataPlaneErrorCode,
    message: string,
    options: { readonly details?: readonly string[]; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.retryable = code === "UNAVAILABLE";
    this.details = options.details ?? [];
  }
}
