import { type ErrorCode, isVdcError, type ObjectReference, toVdcError, VdcError } from "@vdc-os/core";

/** A command line that makes no sense, whatever the state of the datacenter: exit code 2. */
export const usageReason = "VDC_USAGE";

/** What went wrong, as a command tells it. */
export interface Failure {
  readonly code: ErrorCode;
  readonly reason: string;
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
  readonly blockers?: readonly ObjectReference[];
  readonly details?: Readonly<Record<string, unknown>>;
}

/** An error of the command line itself. */
export function usageError(message: string): VdcError {
  return new VdcError("INVALID_ARGUMENT", message, { reason: usageReason });
}

/** Codes of the packages for disk images, and of the operating system, in the words of a `VdcError`. */
const foreignCodes: Readonly<Record<string, ErrorCode>> = {
  ABORTED: "CANCELLED",
  ALREADY_EXISTS: "ALREADY_EXISTS",
  BACKING_MISSING: "NOT_FOUND",
  BACKING_REFUSED: "FAILED_PRECONDITION",
  CORRUPT: "DATA_LOSS",
  DATA_FILE_MISSING: "NOT_FOUND",
  DATA_FILE_REFUSED: "FAILED_PRECONDITION",
  EXTENT_REFUSED: "FAILED_PRECONDITION",
  FAILED: "UNAVAILABLE",
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  IN_USE: "FAILED_PRECONDITION",
  IO_ERROR: "UNAVAILABLE",
  NOT_FOUND: "NOT_FOUND",
  NO_SPACE: "RESOURCE_EXHAUSTED",
  OUT_OF_RANGE: "OUT_OF_RANGE",
  READ_ONLY: "PERMISSION_DENIED",
  TOO_LARGE: "OUT_OF_RANGE",
  UNSUPPORTED_FEATURE: "UNIMPLEMENTED",
  UNSUPPORTED_VERSION: "UNIMPLEMENTED",
  EACCES: "PERMISSION_DENIED",
  EEXIST: "ALREADY_EXISTS",
  EISDIR: "INVALID_ARGUMENT",
  ENOENT: "NOT_FOUND",
  ENOSPC: "RESOURCE_EXHAUSTED",
  ENOTDIR: "NOT_FOUND",
  EPERM: "PERMISSION_DENIED",
};

/** What anything thrown means to whoever typed the command. */
export function failureOf(error: unknown): Failure {
  const own = (error as { readonly code?: unknown } | undefined)?.code;
  if (!isVdcError(error) && error instanceof Error && typeof own === "string") {
    const named = error.name === "Qcow2Error" || error.name === "VmdkError";
    const code = foreignCodes[own] ?? (named ? "INVALID_ARGUMENT" : "UNKNOWN");
    // What helps with an object of the datacenter helps with no file.
    return advised({ code, reason: own, message: error.message }, adviceByReason[own]);
  }
  const { code, reason, message, blockers, details } = toVdcError(error);
  return withAdvice({
    code,
    reason,
    message,
    ...(blockers.length === 0 ? {} : { blockers }),
    ...(Object.keys(details).length === 0 ? {} : { details }),
  });
}

/** The same failure, with other advice. */
export function advised(failure: Failure, advice: string | undefined): Failure {
  return advice === undefined ? failure : { ...failure, advice };
}

function withAdvice(failure: Failure): Failure {
  const advice = adviceByReason[failure.reason] ?? adviceFor(failure);
  return advice === undefined ? failure : { ...failure, advice };
}

const adviceByReason: Readonly<Record<string, string>> = {
  VDC_NO_CONFIG: "Write one with 'vdc init', or name one with '--config FILE'.",
  VDC_USAGE: "'vdc --help' and 'vdc COMMAND --help' tell how it is used.",
  VDC_NO_STORAGE: "See what each pool can do with 'vdc storage pools --facets'.",
  VDC_NO_FILE: "Look at how its name is written: it counts from the folder that you are in.",
  VDC_NO_TRIAL: "Put a change on trial with 'vdc network apply SWITCH FILE --confirm-within SECONDS'.",
  VDC_NETWORK_UNHEALTHY: "What to do is said with each finding.",
  BACKING_REFUSED: "Name the folder that its backing files may lie in with '--files-in FOLDER'.",
  DATA_FILE_REFUSED: "Name the folder that its data file may lie in with '--files-in FOLDER'.",
  IN_USE: "Wait until whoever has it open has closed it.",
};

function adviceFor({ code, message, blockers = [] }: Failure): string | undefined {
  if (blockers.length > 0) {
    return `First deal with ${blockers.map(({ kind, name }) => `${wordOf(kind)} '${name}'`).join(", ")}.`;
  }
  switch (code) {
    case "NOT_FOUND":
      return "See what there is: 'vdc storage volumes', 'vdc storage snapshots', 'vdc storage policies', 'vdc network list', 'vdc backup points'.";
    case "ALREADY_EXISTS":
      return "Take another name, or remove what has it.";
    case "RESOURCE_EXHAUSTED":
      return "Make room or raise the limit; 'vdc storage pools' tells how full each pool is.";
    case "ABORTED":
    case "UNAVAILABLE":
    case "DEADLINE_EXCEEDED":
      return "Try again: the same command goes on where this one was.";
    case "UNIMPLEMENTED":
      return message.startsWith("network ")
        ? "Its switch can't do that; the reason is the provider's."
        : "See what each pool can do, and why not, with 'vdc storage pools --facets'.";
    case "DATA_LOSS":
      return "Restore it from a recovery point: 'vdc backup points'.";
    default:
      return undefined;
  }
}

/** `VirtualMachine` as people say it: `virtual machine`. */
function wordOf(kind: string): string {
  return kind.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
}
