import type { Json } from "@vdc-os/core";
import { admit, rejection } from "../admission/admission.ts";
import { isConditionTrue, readyCondition } from "../resource/condition.ts";
import { arePathsRelated, fieldsOf, isEqualJson } from "../resource/field-path.ts";
import type { Kind } from "../resource/kind.ts";
import { isBeingDeleted, type ObjectKey, type Resource, referenceTo } from "../resource/resource.ts";
import type { TaskRecord } from "../task/task-record.ts";
import {
  acceptedOf,
  atRevision,
  defaultFieldOwner,
  type Found,
  loadObject,
  type StoreEnvironment,
} from "./object-access.ts";
import { ObjectTransaction } from "./object-transaction.ts";
import { newResource, withPendingTask, writtenFields } from "./resource-change.ts";
import { alreadyExists, beingDeleted } from "./resource-errors.ts";
import type { Accepted, CreateOptions, NewObject } from "./resource-store-options.ts";
import type { Plan } from "./state-access.ts";

/** Plans the transaction of a create: a new object, or, when an equal one is there, a task that ends when that is ready. */
export async function planCreate<Spec, Status, Input>(
  environment: StoreEnvironment,
  kind: Kind<Spec, Status, Input>,
  call: { readonly key: ObjectKey; readonly input: NewObject<Input>; readonly options: CreateOptions },
): Promise<Plan<Accepted<Spec, Status>>> {
  const { key, input, options } = call;
  const { clock, random, policies } = environment;
  const { fieldOwner = defaultFieldOwner, signal } = options;
  const found = await loadObject(environment, kind, key, { signal });
  const proposed = newResource({
    ...input,
    kind: kind.kind,
    apiVersion: kind.apiVersion,
    tenant: key.tenant,
    uid: random.uuid(),
    status: kind.initialStatus,
    finalizers: [...new Set([...(kind.finalizers ?? []), ...(input.finalizers ?? [])])],
    now: clock.now(),
  });
  const { object: admitted, problems } = admit(kind, proposed, { policies });
  if (found !== undefined) {
    if (problems.length > 0) throw rejection(kind.kind, key.name, problems);
    if (isBeingDeleted(found.object)) throw beingDeleted(kind.kind, key);
    if (!isSameRequest(admitted, found.object, fieldOwner)) throw alreadyExists(kind.kind, key);
    return planJoin(environment, kind, { found, options });
  }
  const transaction = new ObjectTransaction(environment);
  const usage = await transaction.changeUsage(kind, key.tenant, { added: admitted.spec, signal });
  if (problems.length + usage.length > 0) throw rejection(kind.kind, key.name, [...problems, ...usage]);
  await transaction.bindOwners(admitted, signal);
  const fieldOwners = Object.fromEntries(writtenFields(input.spec, admitted.spec).map((path) => [path, fieldOwner]));
  const owned = { ...admitted, metadata: { ...admitted.metadata, fieldOwners } };
  const task = newCreateTask(environment, owned, options);
  const object = withPendingTask(owned, { id: task.id, action: "create", generation: 1 });
  transaction.putTask(task);
  transaction.putObject(object, 0);
  return transaction.plan((revision) =>
    acceptedOf(environment, kind, { object: atRevision(object, revision), task, created: true }),
  );
}

/** Plans a create of what is there: the task that waits for it already, one that has succeeded, or one more to wait. */
async function planJoin<Spec, Status, Input>(
  environment: StoreEnvironment,
  kind: Kind<Spec, Status, Input>,
  call: { readonly found: Found<Spec, Status>; readonly options: CreateOptions },
): Promise<Plan<Accepted<Spec, Status>>> {
  const { found, options } = call;
  const { object, entry } = found;
  const { generation, pendingTasks } = object.metadata;
  const pending = pendingTasks.find(({ action }) => action === "create");
  if (pending !== undefined) {
    const task = await environment.tasks.get(pending.id, { signal: options.signal });
    return { done: acceptedOf(environment, kind, { object, task, created: false }) };
  }
  const transaction = new ObjectTransaction(environment);
  const task = newCreateTask(environment, object, options);
  if (isConditionTrue(object.conditions, readyCondition, generation)) {
    const finished: TaskRecord = { ...task, state: "succeeded", finishedAt: environment.clock.now() };
    transaction.putTask(finished);
    transaction.compare(entry);
    return transaction.plan(() => acceptedOf(environment, kind, { object, task: finished, created: false }));
  }
  const waiting = withPendingTask(object, { id: task.id, action: "create", generation });
  transaction.putTask(task);
  transaction.putObject(waiting, entry.modRevision);
  return transaction.plan((revision) =>
    acceptedOf(environment, kind, { object: atRevision(waiting, revision), task, created: false }),
  );
}

function newCreateTask({ tasks }: StoreEnvironment, object: Resource, { parentTask }: CreateOptions): TaskRecord {
  return tasks.newRecord({
    action: "create",
    tenant: object.metadata.tenant,
    target: referenceTo(object),
    ...(parentTask === undefined ? {} : { parent: parentTask }),
  });
}

/** Whether a repeated create asks for what is there, leaving aside what other owners have changed since. */
function isSameRequest(asked: Resource, current: Resource, fieldOwner: string): boolean {
  const { fieldOwners } = current.metadata;
  const [wanted, there] = [fieldsOf(asked.spec as Json), fieldsOf(current.spec as Json)];
  const foreign = Object.keys(fieldOwners).filter((path) => fieldOwners[path] !== fieldOwner);
  const isForeign = (path: string): boolean => foreign.some((other) => arePathsRelated(other, path));
  return [...new Set([...wanted.keys(), ...there.keys()])].every(
    (path) => isEqualJson(wanted.get(path), there.get(path)) || isForeign(path),
  );
}
