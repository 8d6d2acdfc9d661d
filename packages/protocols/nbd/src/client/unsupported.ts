import { NbdError } from "../nbd-error.ts";

/** The error of a request that the server does not take for this export. */
export function unsupported(what: string): NbdError {
  return new NbdError("NBD_UNSUPPORTED", `the server does not offer ${what} for this export`);
}
