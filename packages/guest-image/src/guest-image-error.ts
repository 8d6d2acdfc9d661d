/**
 * What went wrong while building a guest image.
 *
 * - `UNSUPPORTED_PLATFORM`: this machine has no apt, or no kernel package for x86-64 virtual machines.
 * - `PACKAGE_UNAVAILABLE`: apt knows no such package, or could not fetch it.
 * - `BAD_PACKAGE`: a package was fetched, but it lacks a file or holds one that cannot be read.
 * - `BAD_ARCHIVE`: bytes that should be a kernel, a module or a compressed stream are not.
 * - `COMMAND_FAILED`: a program of the operating system failed; its output is in the message.
 */
export type GuestImageErrorCode =
  | "UNSUPPORTED_PLATFORM"
  | "PACKAGE_UNAVAILABLE"
  | "BAD_PACKAGE"
  | "BAD_ARCHIVE"
  | "COMMAND_FAILED";

/** The one error of this package. Test it by `code`. */
export class GuestImageError extends Error {
  override readonly name: string = "GuestImageError";
  readonly code: GuestImageErrorCode;

  constructor(code: GuestImageErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}
