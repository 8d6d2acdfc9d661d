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
