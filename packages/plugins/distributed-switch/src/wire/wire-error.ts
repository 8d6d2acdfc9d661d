/**
 * - `MALFORMED`: bytes from outside break their format.
 * - `INVALID_ARGUMENT`: what was asked to be encoded has no encoding.
 * - `UNAVAILABLE`: this machine can't do it now or for this user; the text says what is missing.
 */
export type WireErrorCode = "MALFORMED" | "INVALID_ARGUMENT" | "UNAVAILABLE";

/** What the wire formats throw. Test `code`, not the text. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly code: WireErrorCode;
  readonly retryable: boolean = false;

  constructor(code: WireErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
  }
}
