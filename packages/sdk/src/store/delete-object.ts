import { VdcError } from "@vdc-os/core";
import { isEqualJson, toJson } from "../resource/field-path.ts";
import type { AnyKind, Kind } from "../resource/kind.ts";
import { isBeingDeleted, type ObjectKey, type PendingTask, type Resource, referenceTo } from "../resource/resource.ts";
import { settleByDeletionRequest } from "../task/settle-tasks.ts";
import type { TaskHandle } from "../task/task-handle.ts";
import type { TaskRecord } from "../task/task-record.ts";
import { loadObject, requireObject, type StoreEnvironment, writeObject } from "./object-access.ts";
import { ObjectTransaction } from "./object-transaction.ts";
import { withDeletionRequested, withoutTasks, withPendingTask } from "./resource-change.ts";
import type { DeleteOptions } from "./resource-store-options.ts";
import { commit, type Plan } from "./state-access.ts";

/** Plans the transaction of a request for deletion. */
export async function planDelete<Spec, Status, Input>(
  environment: StoreEnvironment,
  kind: Kind<Spec, Status, Input>,
  call: { readonly key: ObjectKey; readonly options: DeleteOptions },
): Promise<Plan<{ readonly task: TaskHandle<void> }>> {
  const { clock, tasks } = environment;
  const { key, options } = call;
  const { signal, parentTask } = options;
  const { object, entry } = await requireObject(environment, kind, key, options);
  const pending = object.metadata.pendingTasks.find(({ action }) => action === "delete");
  if (pending !== undefined) {
    const known = await tasks.get(pending.id, { signal });
    return { done: { task: tasks.handleOf(known, async () => undefined) } };
  }
  const transaction = new ObjectTransaction(environment);
  const task = tasks.newRecord({
    action: "delete",
    tenant: key.tenant,
    target: referenceTo(object),
    ...(parentTask === undefined ? {} : { parent: parentTask }),
  });
  transaction.putTask(task);
  const settled = await transaction.settle(settleByDeletionRequest(object), clock.now(), signal);
  const rest = withoutTasks(object, settled);
  const marked = isBeingDeleted(object) ? rest : withDeletionRequested(rest, clock.now());
  const { generation } = marked.metadata;
  const waiting = withPendingTask(marked, { id: task.id, action: "delete", generation });
  await writeObject(environment, transaction, { kind, object: waiting, entry, task, signal });
  return transaction.plan(() => ({ task: tasks.handleOf(task, async () => undefined) }));
}

/**
 * Cancels a task, and undoes what it was accepted for where that can be: a `create` that is not done has its object deleted, an `update` does what its kind
 * says of that, unless a later one has taken its place. Fails with
 * `FAILED_PRECONDITION` for a `delete`.
 */
export async function cancelTask(
  environment: StoreEnvironment,
  task: TaskRecord,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { tasks, kinds, state } = environment;
  const { target } = task;
  const kind = target === undefined ? undefined : kinds.get(target.kind);
  const error = new VdcError("CANCELLED", `task '${task.id}' was cancelled`).toJSON();
  const cancelled = { state: "cancelled" as const, error };
  const attempt = async (): Promise<Plan<boolean>> => {
    const found = kind && target && (await loadObject(environment, kind, target, options));
    const pending = found?.object.metadata.pendingTasks.find(({ id }) => id === task.id);
    if (kind === undefined || found === undefined || pending === undefined) return { done: false };
    if (pending.action === "delete") {
      const text = `task '${task.id}' deletes ${kind.kind} '${found.object.metadata.name}': that cannot be cancelled`;
      throw new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_TASK_NOT_CANCELLABLE" });
    }
    const { object, entry } = found;
    const now = environment.clock.now();
    const transaction = new ObjectTransaction(environment);
    const isUndone = pending.action === "create" && !isBeingDeleted(object);
    const others = isUndone ? settleByDeletionRequest(object).filter((one) => one.task.id !== task.id) : [];
    const settled = await transaction.settle([{ task: pending, outcome: cancelled }, ...others], now, options.signal);
    const rest = withoutTasks(object, settled);
    const next = isUndone ? withDeletionRequested(rest, now) : withSpecUndone(kind, rest, pending);
    await writeObject(environment, transaction, { kind, object: next, entry, signal: options.signal });
    return transaction.plan(() => true);
  };
  const isBound = await commit(state, attempt, { ...options, what: `cancelling task '${task.id}'` });
  if (!isBound) await tasks.finish(task.id, cancelled, options);
}

function withSpecUndone(kind: AnyKind, object: Resource, task: PendingTask): Resource {
  const { metadata } = object;
  if (kind.undo === undefined || task.action !== "update" || isBeingDeleted(object)) return object;
  if (task.generation !== metadata.generation) return object;
  const undone = kind.undo(object);
  if (undone === undefined) {
    const text = `task '${task.id}' is all but done: it is too late to cancel it`;
    throw new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_TASK_NOT_CANCELLABLE" });
  }
  const spec = toJson(undone);
  if (isEqualJson(spec, toJson(object.spec))) return object;
  return { ...object, spec, metadata: { ...metadata, generation: metadata.generation + 1 } };
}
