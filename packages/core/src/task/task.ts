import type { Progress } from "../context/operation-context.ts";
import type { VdcError } from "../error/vdc-error.ts";

/** Where a task is: it is accepted, runs, and ends in one of three ways. */
export type TaskState = "accepted" | "running" | "succeeded" | "failed" | "cancelled";

/** Every state, in the order of a life. */
export const taskStates: readonly ["accepted", "running", "succeeded", "failed", "cancelled"] = [
  "accepted",
  "running",
  "succeeded",
  "failed",
  "cancelled",
];

/** A task as data: what events and APIs show of it. */
export interface TaskSnapshot {
  readonly id: string;
  /** What is done, such as `vm.create`. */
  readonly name: string;
  /** The object it is about, such as `vm/web-1`. */
  readonly subject: string | undefined;
  readonly state: TaskState;
  readonly progress: Progress;
  /** The task that this one is a part of. */
  readonly parent: string | undefined;
  readonly children: readonly string[];
  /** Wall-clock milliseconds. */
  readonly createdAt: number;
  readonly finishedAt: number | undefined;
  /** Why it failed or was cancelled. */
  readonly error: VdcError | undefined;
}

/** Something that takes a while, and that can be watched, waited for and cancelled. */
export interface Task<Result> {
  readonly id: string;
  readonly name: string;
  readonly state: TaskState;
  /** What it is now, as data. */
  snapshot(): TaskSnapshot;
  /** Resolves with its result; rejects when it failed or was cancelled, or with the signal's reason: then the task goes on. */
  result(options?: { readonly signal?: AbortSignal | undefined }): Promise<Result>;
  /** Asks it, and its children, to stop. It is `cancelled` once its code has ended. */
  cancel(reason?: string): void;
}

/** What the code of a task gets. */
export interface TaskContext {
  readonly id: string;
  /** Aborts when the task is cancelled. */
  readonly signal: AbortSignal;
  /** Says how far it has come. */
  progress(update: Progress): void;
  /** Runs a part of it as a task of its own. Cancelling the parent cancels it. */
  run<Result>(options: TaskOptions, run: (context: TaskContext) => Promise<Result>): Task<Result>;
}

/** Options of a task. */
export interface TaskOptions {
  /** What is done, such as `vm.create`. */
  readonly name: string;
  /** The object it is about, such as `vm/web-1`. */
  readonly subject?: string;
  /** Defaults to a new UUID. */
  readonly id?: string;
}
