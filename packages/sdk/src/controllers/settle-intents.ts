import type { ReconcileContext } from "../controller/define-controller.ts";
import type { Resource } from "../resource/resource.ts";

/** Strikes out what the journal still has of an object: what it was about is known to be done, or to be undone. */
export async function settleIntents<Spec, Status>(
  context: ReconcileContext<Spec, Status>,
  object: Resource<Spec, Status>,
): Promise<void> {
  for (const intent of context.intents) {
    // One of an object that had this name before is the sweep's.
    if (intent.target.uid === object.metadata.uid) await context.journal.done(intent, { signal: context.signal });
  }
}
