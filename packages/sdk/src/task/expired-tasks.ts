import { isFinished, type TaskRecord } from "./task-record.ts";

/** How long ended tasks are remembered. */
export interface TaskRetention {
  /** Milliseconds since a task ended. */
  readonly maxAgeMs: number;
  /** How many ended tasks at most; the oldest are forgotten first. */
  readonly maxCount: number;
}

/** Seven days, and ten thousand tasks. */
export const defaultTaskRetention: TaskRetention = { maxAgeMs: 7 * 24 * 3_600_000, maxCount: 10_000 };

/** The ids of the tasks that are to be forgotten now. A task that has not ended, or whose parent has not, stays. Pure. */
export function expiredTasks(tasks: readonly TaskRecord[], retention: TaskRetention, now: number): readonly string[] {
  const unfinished = new Set(tasks.filter((task) => !isFinished(task)).map(({ id }) => id));
  const newestFirst = tasks
    .filter((task) => isFinished(task) && (task.parent === undefined || !unfinished.has(task.parent)))
    .sort((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0) || (a.id < b.id ? -1 : 1));
  return newestFirst
    .filter((task, index) => index >= retention.maxCount || now - (task.finishedAt ?? 0) > retention.maxAgeMs)
    .map(({ id }) => id);
}
