import { type SerializedError, VdcError } from "@vdc-os/core";
import { failedCondition, findCondition, isConditionTrue, readyCondition } from "../resource/condition.ts";
import { isBeingDeleted, type PendingTask, type Resource } from "../resource/resource.ts";
import type { TaskOutcome } from "./task-record.ts";

/** A pending task and how it ended. */
export interface SettledTask {
  readonly task: PendingTask;
  readonly outcome: TaskOutcome;
}

/**
 * The tasks that an object's conditions settle: for `create` and `update`, `Ready` for the task's generation is success; `Failed` is
 * failure, for any action. `error`, when a controller gives one, is the failure in detail. Pure.
 */
export function settleByConditions(object: Resource, error?: SerializedError): readonly SettledTask[] {
  const { conditions, metadata } = object;
  const settled: SettledTask[] = [];
  for (const task of metadata.pendingTasks) {
    if (isConditionTrue(conditions, failedCondition, task.generation)) {
      settled.push({ task, outcome: { state: "failed", error: error ?? failureOf(object) } });
    } else if (
      task.action !== "delete" &&
      !isBeingDeleted(object) &&
      isConditionTrue(conditions, readyCondition, task.generation)
    ) {
      settled.push({ task, outcome: { state: "succeeded" } });
    }
  }
  return settled;
}

/** How the tasks of an object end that is removed now: `delete` has succeeded, and everything else came too late. Pure. */
export function settleByRemoval(object: Resource): readonly SettledTask[] {
  return object.metadata.pendingTasks.map((task) => ({
    task,
    outcome: task.action === "delete" ? { state: "succeeded" } : { state: "cancelled", error: supersededBy(object) },
  }));
}

/** How the tasks of an object end whose deletion is asked for now: the goals of `create` and `update` are given up. Pure. */
export function settleByDeletionRequest(object: Resource): readonly SettledTask[] {
  return object.metadata.pendingTasks
    .filter(({ action }) => action !== "delete")
    .map((task) => ({ task, outcome: { state: "cancelled", error: supersededBy(object) } }));
}

/** How many tasks wait for one object at most. Each is settled in the one transaction in which the object reaches its goal. */
const maxPendingTasks = 64;

/** How the oldest `update` tasks end when one more would be too many for an object that does not reach its goals. Pure. */
export function settleBySuperseding(object: Resource): readonly SettledTask[] {
  const { name, pendingTasks } = object.metadata;
  const excess = pendingTasks.length + 1 - maxPendingTasks;
  if (excess <= 0) return [];
  const text = `many later changes of ${object.kind} '${name}' took the place of this one before it was done`;
  const error = new VdcError("CANCELLED", text, { reason: "VDC_TASK_SUPERSEDED" }).toJSON();
  return pendingTasks
    .filter(({ action }) => action === "update")
    .slice(0, excess)
    .map((task) => ({ task, outcome: { state: "cancelled", error } }));
}

function failureOf(object: Resource): SerializedError {
  const condition = findCondition(object.conditions, failedCondition);
  const text = condition?.message || "its controller gave no message";
  return new VdcError("FAILED_PRECONDITION", `${object.kind} '${object.metadata.name}' failed: ${text}`, {
    reason: condition?.reason ?? "VDC_FAILED",
  }).toJSON();
}

function supersededBy(object: Resource): SerializedError {
  return new VdcError("CANCELLED", `${object.kind} '${object.metadata.name}' was deleted before this was done`, {
    reason: "VDC_OBJECT_DELETED",
  }).toJSON();
}
