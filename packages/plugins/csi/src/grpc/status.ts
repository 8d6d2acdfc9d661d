import { type ErrorCode, errorCodes } from "@vdc-os/core";

/** The longest text of an error that is taken over from a peer. */
const maxTextLength = 2_048;

/** The number of a code on the wire (google.rpc.Code): 1 for `CANCELLED` to 16 for `UNAUTHENTICATED`. */
export function statusOf(code: ErrorCode): number {
  return errorCodes.indexOf(code) + 1;
}

/** The code of a number on the wire. Unknown ones are `UNKNOWN`, as gRPC says. */
export function codeOf(status: number): ErrorCode {
  return errorCodes[status - 1] ?? "UNKNOWN";
}

/** A text for the header `grpc-message`: percent-encoded where it is not printable ASCII. */
export function encodeStatusText(text: string): string {
  return text.slice(0, maxTextLength).replace(/[^\x20-\x24\x26-\x7e]+/gu, (part) =>
    // A cut may have left half of a surrogate pair, which has no encoding.
    encodeURIComponent(part.toWellFormed()),
  );
}

/** The text of a header `grpc-message`. What can't be decoded stays as it is, and control characters never reach a log. */
export function decodeStatusText(header: string | undefined): string {
  if (header === undefined) return "";
  let text = header.slice(0, maxTextLength);
  try {
    text = decodeURIComponent(text);
  } catch {
    // As it came: the specification asks for that.
  }
  return [...text].map((letter) => (letter < " " || letter === "\u007f" ? " " : letter)).join("");
}
