import { type OperationContext, toVdcError } from "@vdc-os/core";

/** Throws `CANCELLED` or `DEADLINE_EXCEEDED` when the caller waits no more: nothing is begun for nobody. */
export function assertNotCancelled(context: OperationContext): void {
  if (context.signal.aborted) throw toVdcError(context.signal.reason);
}
