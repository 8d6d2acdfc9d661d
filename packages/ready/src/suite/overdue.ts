import type { CallOptions, OperationContext } from "@vdc-os/core";
import { mustReject } from "./must.ts";

/** Fails unless each of these calls, whose deadline has passed before it begins, fails with `DEADLINE_EXCEEDED`. What they left is for the caller to look at. */
export async function mustBeOverdue(
  test: { operation(options?: CallOptions): OperationContext },
  calls: Readonly<Record<string, (context: OperationContext) => Promise<unknown>>>,
): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    const late = call(test.operation({ timeoutMs: 0 }));
    await mustReject(late, "DEADLINE_EXCEEDED", `'${name}' whose deadline has passed before it begins`);
  }
}
