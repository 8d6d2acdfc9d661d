/** Whether something holds: `Unknown` when it could not be found out. */
export type ConditionStatus = "True" | "False" | "Unknown";

/** The condition type that says an object has reached its goal: tasks for a generation succeed when it is `True` for that generation. */
export const readyCondition = "Ready";

/** The condition type that says an object will not reach its goal unless its spec changes: tasks for that generation fail. */
export const failedCondition = "Failed";

/** One thing that is so, or is not, about an object. */
export interface Condition {
  /** What it is about: `Ready`, `Failed`, or a word of the kind's own. One condition of a type per object. */
  readonly type: string;
  readonly status: ConditionStatus;
  /** Why, as one CamelCase word for programs. */
  readonly reason: string;
  /** Why, for people. Empty when there is nothing to say. */
  readonly message: string;
  /** The generation of the spec that this was found out about. */
  readonly observedGeneration: number;
  /** When `status` last changed, in milliseconds since 1970. */
  readonly lastTransitionAt: number;
}

/** A condition as a controller states it: the store adds the times. */
export interface ConditionChange {
  readonly type: string;
  readonly status: ConditionStatus;
  readonly reason: string;
  /** Defaults to empty. */
  readonly message?: string;
}

/** What {@link mergeConditions} needs to know beside the conditions. */
export interface MergeConditionsOptions {
  /** The generation that was looked at. */
  readonly observedGeneration: number;
  /** The time now, in milliseconds since 1970. */
  readonly now: number;
}

/**
 * The conditions after some were stated anew. A condition about a later generation is not overwritten by one about an earlier. What is `Ready` has not
 * failed: a `Failed` from before is taken back.
 */
export function mergeConditions(
  current: readonly Condition[],
  changes: readonly ConditionChange[],
  { observedGeneration, now }: MergeConditionsOptions,
): readonly Condition[] {
  const merged = [...current];
  const stated = (type: string): ConditionChange | undefined => changes.find((change) => change.type === type);
  const recovered: readonly ConditionChange[] =
    stated(readyCondition)?.status === "True" &&
    stated(failedCondition) === undefined &&
    findCondition(current, failedCondition)?.status === "True"
      ? [{ type: failedCondition, status: "False", reason: "Recovered" }]
      : [];
  for (const change of [...changes, ...recovered]) {
    const index = merged.findIndex(({ type }) => type === change.type);
    const old = merged[index];
    if (old !== undefined && old.observedGeneration > observedGeneration) continue;
    const condition: Condition = {
      type: change.type,
      status: change.status,
      reason: change.reason,
      message: change.message ?? "",
      observedGeneration,
      lastTransitionAt: old?.status === change.status ? old.lastTransitionAt : now,
    };
    if (index < 0) merged.push(condition);
    else merged[index] = condition;
  }
  return merged;
}

/** The condition of a type. */
export function findCondition(conditions: readonly Condition[], type: string): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
}

/** Whether a condition is `True` for a generation, or a later one. */
export function isConditionTrue(conditions: readonly Condition[], type: string, generation: number): boolean {
  const condition = findCondition(conditions, type);
  return condition?.status === "True" && condition.observedGeneration >= generation;
}
