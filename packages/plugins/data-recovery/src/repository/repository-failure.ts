import { toVdcError, VdcError } from "@vdc-os/core";

/** Something in the repository is not what was written there. */
export function damaged(what: string, cause?: unknown): VdcError {
  return new VdcError("DATA_LOSS", `the repository is damaged: ${what}`, {
    reason: "VDC_REPOSITORY_DAMAGED",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A failure of the file system, with a code. */
export function fileFailure(error: unknown, what: string): VdcError {
  const { code } = error as NodeJS.ErrnoException;
  const text = `${what}: ${error instanceof Error ? error.message : String(error)}`;
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
    case "EMFILE":
    case "ENFILE":
      return new VdcError("RESOURCE_EXHAUSTED", text, { cause: error });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new VdcError("FAILED_PRECONDITION", text, { cause: error });
    case "EIO":
      return damaged(text, error);
    case undefined:
      return toVdcError(error);
    default:
      return new VdcError("UNAVAILABLE", text, { cause: error });
  }
}
