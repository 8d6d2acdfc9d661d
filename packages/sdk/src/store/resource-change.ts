import type { Json, JsonObject } from "@vdc-os/core";
import { type ConditionChange, failedCondition, mergeConditions } from "../resource/condition.ts";
import { fieldsOf, isEqualJson, toJson } from "../resource/field-path.ts";
import type { OwnerReference, PendingTask, Resource } from "../resource/resource.ts";

/** The finalizer that keeps an owner until the objects that block its deletion are gone. */
export const dependentsFinalizer = "vdc.dependents";

/** What a new object starts from. */
export interface NewResourceOptions<Status> {
  readonly kind: string;
  readonly apiVersion: string;
  readonly tenant: string;
  readonly name: string;
  readonly uid: string;
  readonly spec: unknown;
  readonly status: Status;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly ownerReferences?: readonly OwnerReference[] | undefined;
  readonly finalizers?: readonly string[] | undefined;
  readonly now: number;
}

/** A new object, before admission. */
export function newResource<Status>(options: NewResourceOptions<Status>): Resource<unknown, Status> {
  const { kind, apiVersion, tenant, name, uid, spec, status, now } = options;
  return {
    kind,
    apiVersion,
    metadata: {
      uid,
      name,
      tenant,
      labels: options.labels ?? {},
      annotations: options.annotations ?? {},
      revision: 0,
      generation: 1,
      observedGeneration: 0,
      statusVersion: 0,
      ownerReferences: options.ownerReferences ?? [],
      finalizers: options.finalizers ?? [],
      fieldOwners: {},
      pendingTasks: [],
      createdAt: now,
    },
    spec: toJson(spec),
    status: toJson(status) as Status,
    conditions: [],
  };
}

/** The fields of an admitted spec that the caller wrote, rather than a default. */
export function writtenFields(written: unknown, admitted: unknown): readonly string[] {
  const present = fieldsOf(admitted as Json);
  return [...fieldsOf(toJson(written)).keys()].filter((path) => present.has(path));
}

/** An object with a task more that waits for it. A failure of the same generation no longer holds: it is tried again. */
export function withPendingTask<R extends Resource>(object: R, task: PendingTask): R {
  const conditions = object.conditions.filter(
    ({ type, observedGeneration }) => type !== failedCondition || observedGeneration < task.generation,
  );
  return {
    ...object,
    conditions,
    metadata: { ...object.metadata, pendingTasks: [...object.metadata.pendingTasks, task] },
  };
}

/** An object without the tasks that are settled. */
export function withoutTasks<R extends Resource>(object: R, settled: ReadonlySet<string>): R {
  if (settled.size === 0) return object;
  const pendingTasks = object.metadata.pendingTasks.filter(({ id }) => !settled.has(id));
  return { ...object, metadata: { ...object.metadata, pendingTasks } };
}

/** What a controller found out about an object. What is left out stays as it was. */
export interface StatusChange<Status> {
  readonly status?: Status;
  readonly conditions?: readonly ConditionChange[];
}

/** An object with a new status. The same object when nothing would change. */
export function withStatus<Spec, Status>(
  object: Resource<Spec, Status>,
  change: StatusChange<Status>,
  { observedGeneration, now }: { readonly observedGeneration: number; readonly now: number },
): Resource<Spec, Status> {
  const status = (change.status === undefined ? object.status : toJson(change.status)) as Status;
  const conditions = mergeConditions(object.conditions, change.conditions ?? [], { observedGeneration, now });
  const observed = Math.max(object.metadata.observedGeneration, observedGeneration);
  if (
    observed === object.metadata.observedGeneration &&
    isEqualJson(status as Json, object.status as Json) &&
    isEqualJson(conditions as unknown as Json, object.conditions as unknown as Json)
  ) {
    return object;
  }
  const { statusVersion } = object.metadata;
  const metadata = { ...object.metadata, observedGeneration: observed, statusVersion: statusVersion + 1 };
  return { ...object, status, conditions, metadata };
}

/** An object whose deletion is asked for. It counts as a generation, so that controllers look at it anew. */
export function withDeletionRequested<R extends Resource>(object: R, now: number): R {
  const generation = object.metadata.generation + 1;
  return { ...object, metadata: { ...object.metadata, generation, deletionRequestedAt: now } };
}

/** Members of the one, as of the other: the values in `patch` replace, `undefined` ones remove. */
export function mergeStrings(
  current: Readonly<Record<string, string>>,
  patch: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const merged = { ...current, ...patch };
  return toJson(merged) as JsonObject as Readonly<Record<string, string>>;
}
