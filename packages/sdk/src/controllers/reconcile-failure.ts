import { type ErrorCode, toVdcError, type VdcError } from "@vdc-os/core";
import type { ReconcileResult } from "../controller/define-controller.ts";

/** Codes that say the object can't be had as it is asked for; another try would end the same. */
const terminal: ReadonlySet<ErrorCode> = new Set([
  "INVALID_ARGUMENT",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "ALREADY_EXISTS",
  "RESOURCE_EXHAUSTED",
  "NOT_FOUND",
  "DATA_LOSS",
]);

/** Whether another try would end the same. */
export function isTerminal({ code }: VdcError): boolean {
  return terminal.has(code);
}

/**
 * Runs a step of a reconcile. A failure that another try can't mend ends the tasks that wait; the object is looked at again when it, or what it
 * watches, changes. Anything else is thrown, and tried again with back-off.
 */
export async function orFail(step: () => Promise<ReconcileResult | undefined>): Promise<ReconcileResult | undefined> {
  try {
    return await step();
  } catch (error) {
    const failure: VdcError = toVdcError(error);
    if (isTerminal(failure)) return { failed: failure };
    throw failure;
  }
}
