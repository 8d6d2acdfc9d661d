/**
 * Controllers: what makes an object's status what its spec asks for.
 *
 * `reconcile` is called with one key, and again whenever the object, or one that it watches, has changed, after a failure, after a gap,
 * from time to time, and after a restart for every key. It is never told what changed: it looks at the object, looks at the world
 * through the extension points, and does the next thing that is missing. It must expect that its last run ended anywhere:
 *
 * 1. `context.object` is the object as it is now; `undefined` when it is gone.
 * 2. When it is being deleted: remove what is outside, then `context.removeFinalizer("…")`.
 * 3. Before anything outside is made: `const intent = await context.journal.begin({ … })`, with a name that follows from the object
 *    (see `externalNameOf`) and `context.ownerStamp` on it, so that a repeated create finds the first one; then `context.journal.done(intent)`.
 * 4. `await context.updateStatus({ status, conditions: [{ type: "Ready", status: "True", reason: "Realised" }] })`. `Ready` settles
 *    the tasks that wait. `Failed` (return `{ failed: error }`) fails them; the object is looked at again only when it changes.
 *
 * What it throws is a failure that is tried again with a back-off.
 */
import type { Clock, Logger, OperationContext, OwnerStamp, Progress, Random, VdcError } from "@vdc-os/core";
import type { Intent, IntentJournal } from "../journal/intent-journal.ts";
import type { AnyKind, Kind } from "../resource/kind.ts";
import type { ObjectKey, Resource } from "../resource/resource.ts";
import type { ObjectCache } from "../store/object-cache.ts";
import type { StatusChange } from "../store/resource-change.ts";
import type { ResourceStore } from "../store/resource-store.ts";

/** What a reconcile asks for. */
export interface ReconcileResult {
  /** Another look after this long, in milliseconds. */
  readonly requeueAfterMs?: number;
  /** The object cannot reach its goal as it is asked for: its tasks fail with this. */
  readonly failed?: VdcError;
}

/** What a reconcile works with. */
export interface ReconcileContext<Spec, Status> {
  readonly key: ObjectKey;
  /** The object, read from the state store for this run; `undefined` when it is gone. */
  readonly object: Resource<Spec, Status> | undefined;
  /** Whose the outside objects of this object are. Throws when it is gone. */
  readonly ownerStamp: OwnerStamp;
  /** For writes of this object and others. */
  readonly store: ResourceStore;
  /** For reads of other objects: a moment behind perhaps. */
  readonly cache: ObjectCache;
  readonly journal: IntentJournal;
  /** What was begun for this object, by this process or one before, and not recorded as done. */
  readonly intents: readonly Intent[];
  /** Aborts when the datacenter closes and does not want to wait any longer. */
  readonly signal: AbortSignal;
  /** For calls of extension points: carries the signal, tenant, logger, clock and randomness. */
  readonly operation: OperationContext;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Shows progress on the tasks that wait for the object. Nothing goes to disk. */
  progress(update: Progress): void;
  /** Changes the status of this very object (not of one that took its name), as found out about the generation of `object`. */
  updateStatus(
    change: StatusChange<Status> | ((object: Resource<Spec, Status>) => StatusChange<Status>),
  ): Promise<Resource<Spec, Status>>;
  /** Lets go of this very object. */
  removeFinalizer(finalizer: string): Promise<void>;
}

/** Objects of another kind, whose changes concern objects of the controller's own. */
export interface ControllerWatch {
  readonly kind: AnyKind;
  /** The keys that a change concerns. Called for the object as it is, and as it was before. */
  keys(object: Resource, cache: ObjectCache): readonly ObjectKey[];
}

/** Options of {@link defineController}. */
export interface ControllerOptions<Spec, Status, Input> {
  readonly kind: Kind<Spec, Status, Input>;
  /** For logs and the status page. Defaults to the kind. */
  readonly name?: string;
  /** See the top of this file. */
  // biome-ignore lint/suspicious/noConfusingVoidType: an async function that returns nothing must fit.
  reconcile(context: ReconcileContext<Spec, Status>, key: ObjectKey): Promise<ReconcileResult | void>;
  readonly watches?: readonly ControllerWatch[];
  /** How many keys at once. Defaults to 4. */
  readonly concurrency?: number;
  /** Looks at every key again after this long, in milliseconds. Defaults to ten minutes. */
  readonly resyncIntervalMs?: number;
  /** The wait after a first failure, in milliseconds. Defaults to 100. */
  readonly backoffBaseMs?: number;
  /** The longest wait after failures, in milliseconds. Defaults to two minutes. */
  readonly backoffMaxMs?: number;
}

/** A controller. Made by {@link defineController}. */
export type Controller = ControllerOptions<unknown, unknown, unknown>;

/** Defines a controller for a kind. */
export function defineController<Spec, Status, Input>(options: ControllerOptions<Spec, Status, Input>): Controller {
  return Object.freeze({ ...options }) as unknown as Controller;
}

/** A watch, with the watched kind's types. */
export function watchKind<Spec, Status, Input>(
  kind: Kind<Spec, Status, Input>,
  keys: (object: Resource<Spec, Status>, cache: ObjectCache) => readonly ObjectKey[],
): ControllerWatch {
  return { kind, keys: keys as ControllerWatch["keys"] };
}

/** A watch of objects that objects of the controller's kind own. */
export function watchOwned(kind: AnyKind, ownerKind: AnyKind): ControllerWatch {
  return {
    kind,
    keys: ({ metadata: { tenant, ownerReferences } }) =>
      ownerReferences.filter((owner) => owner.kind === ownerKind.kind).map(({ name }) => ({ tenant, name })),
  };
}
