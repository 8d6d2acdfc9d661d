/**
 * Tasks: what became of a call. A task's record is committed in the transaction that commits the spec, and is settled in the
 * transaction in which its object reaches the goal, so that neither can be without the other, whenever the process is killed.
 */
import type { Json, Progress, SerializedError } from "@vdc-os/core";
import type { KeyValue } from "@vdc-os/core/state/v1";
import { toJson } from "../resource/field-path.ts";
import type { ResourceReference } from "../resource/resource.ts";

/**
 * - `accepted`: what was asked is on disk.
 * - `running`: a controller has taken it up (in this process; not kept on disk).
 * - `succeeded`, `failed`, `cancelled`: finished.
 */
export type TaskState = "accepted" | "running" | "succeeded" | "failed" | "cancelled";

/** A task as data. Times are milliseconds since 1970. */
export interface TaskRecord {
  readonly id: string;
  readonly tenant: string;
  /** What is done: `create`, `update`, `delete`, or a word of whoever started it. */
  readonly action: string;
  /** The object that it is about. */
  readonly target?: ResourceReference;
  /** The task that this one is a part of. */
  readonly parent?: string;
  readonly state: TaskState;
  /** How far it has come. Kept in memory: after a restart it begins again. */
  readonly progress?: Progress;
  readonly createdAt: number;
  readonly finishedAt?: number;
  readonly result?: Json;
  /** Why it failed. */
  readonly error?: SerializedError;
}

/** How a task ended. */
export type TaskOutcome =
  | { readonly state: "succeeded"; readonly result?: Json }
  | { readonly state: "failed" | "cancelled"; readonly error: SerializedError };

/** Where task records are kept in the state store. */
export const tasksPrefix = "tasks/";

/** The state store's key of a task's record. */
export function taskKeyOf(id: string): string {
  return `${tasksPrefix}${id}`;
}

/** Whether a task has ended. */
export function isFinished(task: TaskRecord): boolean {
  return task.state === "succeeded" || task.state === "failed" || task.state === "cancelled";
}

/** The record of a task that has ended so. */
export function withOutcome(task: TaskRecord, outcome: TaskOutcome, now: number): TaskRecord {
  const { progress: _progress, ...rest } = task;
  return { ...rest, ...outcome, finishedAt: now };
}

/** The record that an entry of the state store holds. */
export function decodeTask(entry: KeyValue): TaskRecord {
  return entry.value as unknown as TaskRecord;
}

/** The value that is stored for a record. */
export function encodeTask(task: TaskRecord): Json {
  const { progress: _progress, ...rest } = task;
  return toJson(rest);
}
