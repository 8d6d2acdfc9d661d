import { type Generation, VdcError } from "@vdc-os/core";

/** The error of an owner that is not the newest. */
export function fencedError(what: string, asked: Generation, newest: Generation): VdcError {
  return new VdcError(
    "FAILED_PRECONDITION",
    `${what} has had an owner of generation ${newest}: generation ${asked} is fenced`,
    { reason: "VDC_FENCED", retryable: false, details: { asked, newest } },
  );
}
