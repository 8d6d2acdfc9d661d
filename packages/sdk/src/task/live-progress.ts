import type { Clock, Progress } from "@vdc-os/core";
import { isFinished, type TaskRecord } from "./task-record.ts";

/** What {@link LiveProgress} needs. */
export interface LiveProgressOptions {
  readonly clock: Clock;
  /** The least time between two times that a task's progress is told, in milliseconds. */
  readonly intervalMs: number;
  /** Called when a task's progress may be told. */
  readonly onProgress: (id: string) => void;
}

interface Live {
  progress?: Progress;
  toldAt: number;
  /** Cancels what will be told. */
  held?: () => void;
}

/** How far tasks have come that run here. Nothing of it goes to disk. */
export class LiveProgress {
  readonly #options: LiveProgressOptions;
  readonly #live = new Map<string, Live>();

  constructor(options: LiveProgressOptions) {
    this.#options = options;
  }

  /** Shows how far a task has come: at once, or when it may be told again. */
  report(id: string, progress?: Progress): void {
    const { clock, intervalMs, onProgress } = this.#options;
    const live = this.#live.get(id) ?? { toldAt: Number.NEGATIVE_INFINITY };
    this.#live.set(id, live);
    if (progress !== undefined) live.progress = progress;
    if (live.held !== undefined) return;
    const tell = (): void => {
      delete live.held;
      live.toldAt = clock.monotonic();
      onProgress(id);
    };
    const waitMs = live.toldAt + intervalMs - clock.monotonic();
    if (waitMs <= 0) tell();
    else live.held = clock.schedule(waitMs, tell);
  }

  /** The record of a task, with what is known of it here. */
  shown(task: TaskRecord): TaskRecord {
    const live = this.#live.get(task.id);
    if (live === undefined || isFinished(task)) return task;
    return { ...task, state: "running", ...(live.progress && { progress: live.progress }) };
  }

  /** Whether progress of a task is held back. It will not be told by itself any more. */
  takeHeld(id: string): boolean {
    const held = this.#live.get(id)?.held;
    held?.();
    return held !== undefined;
  }

  forget(id: string): void {
    this.#live.delete(id);
  }

  /** Nothing is told by itself any more. */
  stop(): void {
    for (const { held } of this.#live.values()) held?.();
  }
}
