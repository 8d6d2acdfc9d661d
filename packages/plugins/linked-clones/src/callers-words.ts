import { isVdcError, VdcError } from "@vdc-os/core";

/** The mark that makes a name underneath one that is never used twice. */
const suffix = /\.[0-9a-f]{12}(?:[0-9a-f]{2})?$/;
const quotedSuffix = /\.[0-9a-f]{12}(?:[0-9a-f]{2})?(?=')/g;

/** An error of the provider underneath, with the names that the caller knows: those of volumes and snapshots are others there. */
export function inCallersWords(error: unknown): unknown {
  if (!isVdcError(error)) return error;
  const message = error.message.replaceAll(quotedSuffix, "");
  const blockers = error.blockers.map(({ kind, name }) => ({ kind, name: name.replace(suffix, "") }));
  const isSame = message === error.message && blockers.every(({ name }, index) => name === error.blockers[index]?.name);
  if (isSame) return error;
  const { code, reason, details, retryable } = error;
  return new VdcError(code, message, { reason, details, retryable, blockers, cause: error });
}

/** Runs a call underneath. What it throws is in the caller's words. */
export async function toldToCaller<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw inCallersWords(error);
  }
}
