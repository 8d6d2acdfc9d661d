import { type ErrorCode, isVdcError, VdcError } from "@vdc-os/core";
import type { Qcow2ErrorCode } from "@vdc-os/qcow2";

const codes: Readonly<Partial<Record<Qcow2ErrorCode, ErrorCode>>> = {
  ABORTED: "CANCELLED",
  NO_SPACE: "RESOURCE_EXHAUSTED",
  IN_USE: "ABORTED",
  CORRUPT: "DATA_LOSS",
  BACKING_MISSING: "DATA_LOSS",
  NOT_FOUND: "NOT_FOUND",
  ALREADY_EXISTS: "ALREADY_EXISTS",
  OUT_OF_RANGE: "OUT_OF_RANGE",
  TOO_LARGE: "OUT_OF_RANGE",
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  ENCRYPTED: "PERMISSION_DENIED",
  WRONG_PASSPHRASE: "PERMISSION_DENIED",
};

/** Reasons of what is wrong with a key. */
const keyReasons: Readonly<Partial<Record<Qcow2ErrorCode, string>>> = {
  ENCRYPTED: "VDC_KEY_NEEDED",
  WRONG_PASSPHRASE: "VDC_WRONG_KEY",
};

/** What the image engine or the file system threw, as the contract's error. `what` says what was being done, to which volume. */
export function storageFailure(error: unknown, what: string): VdcError {
  if (isVdcError(error)) return error;
  const { code, name, message } = error as {
    readonly code?: string;
    readonly name?: string;
    readonly message?: string;
  };
  const text = `${what}: ${message ?? String(error)}`;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new VdcError("RESOURCE_EXHAUSTED", text, { reason: "VDC_OUT_OF_SPACE", cause: error });
  }
  if (name === "Qcow2Error") {
    const mapped = codes[code as Qcow2ErrorCode] ?? "INTERNAL";
    const reason = keyReasons[code as Qcow2ErrorCode] ?? `VDC_IMAGE_${code}`;
    return new VdcError(mapped, text, { reason, cause: error });
  }
  if (name === "AbortError" || name === "TimeoutError") {
    return new VdcError(name === "AbortError" ? "CANCELLED" : "DEADLINE_EXCEEDED", text, { cause: error });
  }
  return new VdcError("INTERNAL", text, { cause: error });
}
