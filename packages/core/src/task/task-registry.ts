import { z } from "zod";
import type { Clock } from "../context/clock.ts";
import type { Progress, Random } from "../context/operation-context.ts";
import { isVdcError, toVdcError, VdcError } from "../error/vdc-error.ts";
import type { EventBus } from "../event/event-bus.ts";
import { defineEvent, type EventToken } from "../event/event-token.ts";
import { schemaOf } from "../schema/schema-of.ts";
import {
  type Task,
  type TaskContext,
  type TaskOptions,
  type TaskSnapshot,
  type TaskState,
  taskStates,
} from "./task.ts";

/** A task came into being, or changed. A listener that comes late gets every task that is remembered. */
export const taskChanged: EventToken<TaskSnapshot> = defineEvent<TaskSnapshot>({
  id: "vdc.task.changed",
  version: "1.0",
  summary: "A task was accepted, made progress, or ended.",
  payload: schemaOf<TaskSnapshot>()(
    z.object({
      id: z.string(),
      name: z.string(),
      subject: z.union([z.string(), z.undefined()]),
      state: z.enum(taskStates),
      progress: z.object({
        fraction: z.number().min(0).max(1).exactOptional(),
        message: z.string().exactOptional(),
      }),
      parent: z.union([z.string(), z.undefined()]),
      children: z.array(z.string()),
      createdAt: z.number(),
      finishedAt: z.union([z.number(), z.undefined()]),
      error: z.union([z.custom<VdcError>((value) => isVdcError(value)), z.undefined()]),
    }),
  ),
  latestBy: (task) => task.id,
});

/** Options of {@link TaskRegistry}. */
export interface TaskRegistryOptions {
  readonly events: EventBus;
  readonly clock: Clock;
  readonly random: Random;
  /** How many tasks that have ended are remembered; the oldest are forgotten first. Defaults to `1_000`. */
  readonly keepEnded?: number;
}

/** The tasks of a kernel. */
export class TaskRegistry {
  readonly #tasks = new Map<string, RunningTask<unknown>>();
  readonly #ended: string[] = [];
  readonly #options: TaskRegistryOptions;

  constructor(options: TaskRegistryOptions) {
    this.#options = options;
    options.events.replayFrom(taskChanged, () => this.list());
  }

  /** Accepts a task and runs it: it is `accepted` when this returns, and `running` from the next turn on. */
  run<Result>(options: TaskOptions, run: (context: TaskContext) => Promise<Result>): Task<Result> {
    return this.#run(options, run, undefined);
  }

  /** A task by its id. `undefined` when it is not, or no longer, remembered. */
  get(id: string): Task<unknown> | undefined {
    return this.#tasks.get(id);
  }

  /** Every task that is remembered, oldest first. */
  list(): readonly TaskSnapshot[] {
    return [...this.#tasks.values()].map((task) => task.snapshot());
  }

  /** Asks every task to stop. */
  cancelAll(reason: string): void {
    for (const task of this.#tasks.values()) task.cancel(reason);
  }

  #run<Result>(
    options: TaskOptions,
    run: (context: TaskContext) => Promise<Result>,
    parent: RunningTask<unknown> | undefined,
  ): RunningTask<Result> {
    const { clock, random, events } = this.#options;
    const id = options.id ?? random.uuid();
    if (this.#tasks.has(id)) throw new VdcError("ALREADY_EXISTS", `there is a task '${id}' already`);
    const task: RunningTask<Result> = new RunningTask<Result>({
      id,
      options,
      run,
      parent,
      clock,
      onChange: (changed) => {
        if (changed.ended) this.#forgetOldest(changed.id);
        if (events.hasListeners(taskChanged)) events.emit(taskChanged, changed.snapshot());
      },
      runChild: (childOptions, childRun) => this.#run(childOptions, childRun, task as RunningTask<unknown>),
    });
    this.#tasks.set(id, task as RunningTask<unknown>);
    task.begin();
    return task;
  }

  #forgetOldest(ended: string): void {
    this.#ended.push(ended);
    if (this.#ended.length <= (this.#options.keepEnded ?? 1_000)) return;
    this.#tasks.delete(this.#ended.shift() as string);
  }
}

interface RunningTaskOptions<Result> {
  readonly id: string;
  readonly options: TaskOptions;
  readonly run: (context: TaskContext) => Promise<Result>;
  readonly parent: RunningTask<unknown> | undefined;
  readonly clock: Clock;
  readonly onChange: (task: RunningTask<Result>) => void;
  readonly runChild: TaskContext["run"];
}

class RunningTask<Result> implements Task<Result> {
  readonly id: string;
  readonly name: string;
  state: TaskState = "accepted";
  readonly #options: RunningTaskOptions<Result>;
  readonly #controller = new AbortController();
  readonly #children: RunningTask<unknown>[] = [];
  readonly #createdAt: number;
  readonly #outcome: PromiseWithResolvers<Result> = Promise.withResolvers();
  #finishedAt: number | undefined;
  #progress: Progress = {};
  #error: VdcError | undefined;

  constructor(options: RunningTaskOptions<Result>) {
    this.id = options.id;
    this.name = options.options.name;
    this.#options = options;
    this.#createdAt = options.clock.now();
    // A task that nobody waits for may fail: that is told by its state, not by an unhandled rejection.
    this.#outcome.promise.catch(() => undefined);
    if (options.parent !== undefined) options.parent.#adopt(this as RunningTask<unknown>);
  }

  get ended(): boolean {
    return this.#finishedAt !== undefined;
  }

  begin(): void {
    this.#options.onChange(this);
    queueMicrotask(() => void this.#run());
  }

  snapshot(): TaskSnapshot {
    return {
      id: this.id,
      name: this.name,
      subject: this.#options.options.subject,
      state: this.state,
      progress: this.#progress,
      parent: this.#options.parent?.id,
      children: this.#children.map(({ id }) => id),
      createdAt: this.#createdAt,
      finishedAt: this.#finishedAt,
      error: this.#error,
    };
  }

  async result({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<Result> {
    if (signal === undefined) return this.#outcome.promise;
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([this.#outcome.promise, promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  cancel(reason = "it was cancelled"): void {
    if (this.ended) return;
    this.#controller.abort(new VdcError("CANCELLED", `task '${this.name}': ${reason}`));
    for (const child of this.#children) child.cancel(reason);
  }

  #adopt(child: RunningTask<unknown>): void {
    this.#children.push(child);
    if (this.#controller.signal.aborted) child.cancel("its parent was cancelled");
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    if (signal.aborted) return this.#end("cancelled", toVdcError(signal.reason));
    this.state = "running";
    this.#options.onChange(this);
    try {
      const result = await this.#options.run({
        id: this.id,
        signal,
        progress: (update) => this.#setProgress(update),
        run: this.#options.runChild,
      });
      this.#progress = { ...this.#progress, fraction: 1 };
      this.#outcome.resolve(result);
      this.#end("succeeded", undefined);
    } catch (cause) {
      const error = toVdcError(cause);
      // Only who was asked to stop is cancelled: a CANCELLED from inside is a failure like any other.
      this.#end(signal.aborted ? "cancelled" : "failed", error);
    }
  }

  #setProgress(update: Progress): void {
    if (this.ended) return;
    this.#progress = joinProgress(this.#progress, update);
    this.#options.onChange(this);
  }

  #end(state: TaskState, error: VdcError | undefined): void {
    this.state = state;
    this.#error = error;
    this.#finishedAt = this.#options.clock.now();
    if (error !== undefined) this.#outcome.reject(error);
    this.#options.onChange(this);
  }
}

/** What is said later joins what was said before. A fraction out of its range is brought into it: progress must not fail a task. */
function joinProgress(before: Progress, { fraction, message }: Progress): Progress {
  return {
    ...before,
    ...(fraction === undefined || Number.isNaN(fraction) ? {} : { fraction: Math.min(Math.max(fraction, 0), 1) }),
    ...(message === undefined ? {} : { message }),
  };
}
