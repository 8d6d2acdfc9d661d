import type { KeyValue } from "@vdc-os/core/state/v1";
import { decodeResource } from "../resource/decode-resource.ts";
import type { AnyKind, Kind } from "../resource/kind.ts";
import { isBeingDeleted, type ObjectKey, type Resource } from "../resource/resource.ts";
import { stateKeyOf } from "../resource/resource-key.ts";
import { settleByRemoval } from "../task/settle-tasks.ts";
import type { TaskManager } from "../task/task-manager.ts";
import type { TaskRecord } from "../task/task-record.ts";
import type { ObjectTransaction, ObjectTransactionOptions } from "./object-transaction.ts";
import { changedMeanwhile, notFound } from "./resource-errors.ts";
import type { Accepted } from "./resource-store-options.ts";

/** What the operations on objects work with. */
export interface StoreEnvironment extends ObjectTransactionOptions {
  readonly kinds: ReadonlyMap<string, AnyKind>;
  readonly tasks: TaskManager;
}

/** An object, and the entry that it was read from. */
export interface Found<Spec, Status> {
  readonly object: Resource<Spec, Status>;
  readonly entry: KeyValue;
}

/** What must be true of an object for a call to go on. */
export interface Expectation {
  readonly signal?: AbortSignal | undefined;
  readonly ifUid?: string | undefined;
  readonly ifRevision?: number | undefined;
}

/** On whose behalf fields are written, when nobody says. */
export const defaultFieldOwner = "user";

/** Reads an object. */
export async function loadObject<Spec, Status, Input>(
  environment: StoreEnvironment,
  kind: Kind<Spec, Status, Input>,
  key: ObjectKey,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<Found<Spec, Status> | undefined> {
  const { entry } = await environment.state.get({ key: stateKeyOf(kind.kind, key) }, { signal: options.signal });
  return entry === undefined ? undefined : { entry, object: decodeResource(kind, entry) };
}

/** Reads an object that must be there. Fails with `NOT_FOUND`, or `ABORTED` when it was changed. */
export async function requireObject<Spec, Status, Input>(
  environment: StoreEnvironment,
  kind: Kind<Spec, Status, Input>,
  key: ObjectKey,
  expectation: Expectation,
): Promise<Found<Spec, Status>> {
  const { ifUid, ifRevision } = expectation;
  const found = await loadObject(environment, kind, key, expectation);
  if (found === undefined || (ifUid !== undefined && found.object.metadata.uid !== ifUid)) {
    throw notFound(kind.kind, key);
  }
  if (ifRevision !== undefined && ifRevision !== found.entry.modRevision) {
    throw changedMeanwhile(kind.kind, key, "object");
  }
  return found;
}

/** Puts an object, or removes it when its deletion was asked for and nothing holds it any more. */
export async function writeObject<Spec, Status, Input>(
  environment: StoreEnvironment,
  transaction: ObjectTransaction,
  write: {
    readonly kind: Kind<Spec, Status, Input>;
    readonly object: Resource<Spec, Status>;
    readonly entry: KeyValue;
    /** A task that the transaction itself begins. */
    readonly task?: TaskRecord;
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const { kind, object, entry, task, signal } = write;
  if (!isBeingDeleted(object) || object.metadata.finalizers.length > 0) {
    transaction.putObject(object, entry.modRevision);
    return;
  }
  await transaction.settle(settleByRemoval(object), environment.clock.now(), signal, task);
  await transaction.changeUsage(kind, object.metadata.tenant, { removed: object.spec, signal });
  transaction.deleteObject(entry);
}

/** An object as it is at the revision that it was committed at. */
export function atRevision<R extends Resource>(object: R, revision: number): R {
  return { ...object, metadata: { ...object.metadata, revision } };
}

/** What a call returns whose task ends with the object. */
export function acceptedOf<Spec, Status, Input>(
  environment: StoreEnvironment,
  kind: Kind<Spec, Status, Input>,
  accepted: { readonly object: Resource<Spec, Status>; readonly task: TaskRecord; readonly created: boolean },
): Accepted<Spec, Status> {
  const { object, task, created } = accepted;
  const handle = environment.tasks.handleOf(task, async () => {
    return (await requireObject(environment, kind, object.metadata, {})).object;
  });
  return { object, task: handle, created };
}
