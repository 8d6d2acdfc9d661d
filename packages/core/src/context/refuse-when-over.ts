import { toVdcError } from "../error/vdc-error.ts";
import type { OperationContext } from "./operation-context.ts";

/**
 * Throws when a call is over before it begins: with `DEADLINE_EXCEEDED` after its deadline, with `CANCELLED` when its caller has given up. A provider calls it first
 * in each operation that changes something, so that a call that comes too late has no effect.
 *
 * @example
 * ```ts
 * async deleteVolume({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<void> {
 *   refuseWhenOver(context);
 *   this.#volumes.delete(volumeId);
 * }
 * ```
 */
export function refuseWhenOver({ signal }: Pick<OperationContext, "signal">): void {
  if (signal.aborted) throw toVdcError(signal.reason);
}
