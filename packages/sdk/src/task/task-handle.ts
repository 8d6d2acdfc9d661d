import type { Progress, VdcError } from "@vdc-os/core";
import type { TaskRecord, TaskState } from "./task-record.ts";

/** How long to wait for a task, and for what else to stop waiting. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Fails with `DEADLINE_EXCEEDED` after this long; the task goes on. Defaults to waiting for as long as it takes. */
  readonly timeoutMs?: number | undefined;
  /** Called for each progress report while waiting. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * A task that was accepted: what was asked is on disk, and is going to happen also when this process dies now. The handle shows what
 * is known in this process; `tasks.handle(id)` makes another one at any time, also after a restart.
 */
export interface TaskHandle<Result = unknown> {
  readonly id: string;
  readonly state: TaskState;
  readonly progress: Progress | undefined;
  /** Why it failed or was cancelled; `undefined` otherwise. */
  readonly error: VdcError | undefined;
  /** All that is known of it now. */
  readonly record: TaskRecord;
  /** The result once it has succeeded. Throws what made it fail, or `CANCELLED`. */
  wait(options?: WaitOptions): Promise<Result>;
  /**
   * Cancels the task and its children. A `create` that is not done is undone: its object is deleted. An `update` leaves the spec
   * as it is. A `delete` cannot be cancelled: `FAILED_PRECONDITION`. Does nothing to a task that has ended.
   */
  cancel(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}
