/**
 * The tasks of a datacenter: looks them up, waits for them, cancels and forgets them.
 *
 * - `tasks.handle(id)` is a {@link TaskHandle} on a task, also on one that a former process accepted.
 * - `tasks.begin({ action, tenant })` starts one that no object settles (an imperative job, or the parent of others); whoever began
 *   it calls `tasks.finish(id, outcome)`.
 * - `tasks.report(id, progress)` shows progress; nothing of it goes to disk.
 */
import { type Clock, type Json, type Logger, type Progress, type Random, VdcError } from "@vdc-os/core";
import type { ResourceReference } from "../resource/resource.ts";
import { commit, listEntries, type StateAccess } from "../store/state-access.ts";
import { StateMirror } from "../store/state-mirror.ts";
import { expiredTasks, type TaskRetention } from "./expired-tasks.ts";
import { LiveProgress } from "./live-progress.ts";
import type { TaskHandle, WaitOptions } from "./task-handle.ts";
import {
  decodeTask,
  encodeTask,
  isFinished,
  taskKeyOf,
  type TaskOutcome,
  type TaskRecord,
  tasksPrefix,
  withOutcome,
} from "./task-record.ts";

/** Options of {@link TaskManager}. */
export interface TaskManagerOptions {
  readonly state: StateAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How long ended tasks are remembered. */
  readonly retention: TaskRetention;
  /** The least time between two progress events of a task, in milliseconds. Defaults to 250. */
  readonly progressIntervalMs?: number;
  /** Hears of each change of a task. Must not throw. */
  readonly onTask?: (task: TaskRecord) => void;
  /** Undoes what a task that is cancelled was accepted for, and settles it. Set by the resource store. */
  readonly cancelTarget?: (task: TaskRecord, options: { readonly signal?: AbortSignal | undefined }) => Promise<void>;
}

/** What a new task is about. */
export interface BeginTaskOptions {
  readonly action: string;
  readonly tenant: string;
  readonly target?: ResourceReference;
  readonly parent?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Which tasks {@link TaskManager.list} shows. */
export interface TaskFilter {
  readonly tenant?: string;
  readonly parent?: string;
  /** Those about an object with this uid. */
  readonly target?: string;
  readonly finished?: boolean;
}

type Listener = (task: TaskRecord | undefined) => void;

/** See the top of this file. */
export class TaskManager {
  readonly #options: TaskManagerOptions;
  readonly #mirror: StateMirror;
  readonly #tasks = new Map<string, TaskRecord>();
  readonly #live: LiveProgress;
  readonly #listeners = new Map<string, Set<Listener>>();
  #cancelSweep: (() => void) | undefined;
  #sweep: Promise<void> = Promise.resolve();
  #stopped = false;
  /** See {@link TaskManagerOptions.cancelTarget}. */
  cancelTarget: TaskManagerOptions["cancelTarget"];

  constructor(options: TaskManagerOptions) {
    this.#options = options;
    this.cancelTarget = options.cancelTarget;
    this.#live = new LiveProgress({
      clock: options.clock,
      intervalMs: options.progressIntervalMs ?? 250,
      onProgress: (id) => {
        const task = this.#tasks.get(id);
        if (task !== undefined) this.#tell(task);
      },
    });
    this.#mirror = new StateMirror({
      state: options.state,
      prefix: tasksPrefix,
      clock: options.clock,
      random: options.random,
      logger: options.logger,
      onChange: (change) => {
        if (change.type === "put") this.#changed(decodeTask(change.entry));
        else this.#gone(change.key.slice(tasksPrefix.length));
      },
    });
  }

  /** Begins to follow the tasks in the state store, and to forget old ones. Waiting needs it. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#mirror.start(options);
    this.#scheduleSweep(0);
  }

  /** Stops. Who waits gets `CANCELLED`: the tasks themselves go on at the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelSweep?.();
    this.#live.stop();
    await this.#mirror.stop();
    await this.#sweep;
    for (const listeners of this.#listeners.values()) for (const listener of [...listeners]) listener(undefined);
  }

  /** The record of a task. Fails with `NOT_FOUND` for one that never was, or was forgotten. */
  async get(id: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<TaskRecord> {
    const { entry } = await this.#options.state.get({ key: taskKeyOf(id) }, { signal: options.signal });
    if (entry === undefined) throw notFound(id);
    return this.#live.shown(decodeTask(entry));
  }

  /** A handle on a task. Fails with `NOT_FOUND` as {@link TaskManager.get} does. */
  async handle(
    id: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<TaskHandle<Json | undefined>> {
    return this.handleOf(await this.get(id, options), (task) => Promise.resolve(task.result));
  }

  /** A handle on a task whose record is known. `resultOf` makes the result once it has succeeded. */
  handleOf<Result>(task: TaskRecord, resultOf: (task: TaskRecord) => Promise<Result>): TaskHandle<Result> {
    const latest = (): TaskRecord => this.#live.shown(this.#tasks.get(task.id) ?? task);
    return {
      id: task.id,
      get state() {
        return latest().state;
      },
      get progress() {
        return latest().progress;
      },
      get error() {
        const { error } = latest();
        return error === undefined ? undefined : VdcError.fromJSON(error);
      },
      get record() {
        return latest();
      },
      wait: async (options = {}) => {
        const finished = await this.#finished(latest(), options);
        if (finished.state === "succeeded") return resultOf(finished);
        throw finished.error === undefined
          ? new VdcError("UNKNOWN", `task '${finished.id}' ${finished.state}`)
          : VdcError.fromJSON(finished.error);
      },
      cancel: (options = {}) => this.cancel(task.id, options),
    };
  }

  /** The tasks that are known now, newest first. */
  list(filter: TaskFilter = {}): readonly TaskRecord[] {
    const { tenant, parent, target, finished } = filter;
    return [...this.#tasks.values()]
      .filter((task) => tenant === undefined || task.tenant === tenant)
      .filter((task) => parent === undefined || task.parent === parent)
      .filter((task) => target === undefined || task.target?.uid === target)
      .filter((task) => finished === undefined || isFinished(task) === finished)
      .map((task) => this.#live.shown(task))
      .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1));
  }

  /** The record that a new task has. It is not stored by this. */
  newRecord(options: Omit<BeginTaskOptions, "signal">): TaskRecord {
    const { action, tenant, target, parent } = options;
    return {
      id: `task-${this.#options.random.uuid()}`,
      tenant,
      action,
      ...(target && { target }),
      ...(parent !== undefined && { parent }),
      state: "accepted",
      createdAt: this.#options.clock.now(),
    };
  }

  /** Begins a task that no object settles. It is on disk when this returns. */
  async begin(options: BeginTaskOptions): Promise<TaskHandle<Json | undefined>> {
    const task = this.newRecord(options);
    const operations = [{ type: "put" as const, key: taskKeyOf(task.id), value: encodeTask(task) }];
    await this.#options.state.transact({ compare: [], operations }, { signal: options.signal });
    return this.handleOf(task, (finished) => Promise.resolve(finished.result));
  }

  /** Ends a task, unless it has ended. Fails with `NOT_FOUND`. */
  async finish(
    id: string,
    outcome: TaskOutcome,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<TaskRecord> {
    const { state, clock } = this.#options;
    const key = taskKeyOf(id);
    const task = await commit(
      state,
      async () => {
        const { entry } = await state.get({ key }, { signal: options.signal });
        if (entry === undefined) throw notFound(id);
        const current = decodeTask(entry);
        if (isFinished(current)) return { done: current };
        const next = withOutcome(current, outcome, clock.now());
        return {
          compare: [{ key, modRevision: entry.modRevision }],
          operations: [{ type: "put", key, value: encodeTask(next) }],
          result: () => next,
        };
      },
      { ...options, what: `ending task '${id}'` },
    );
    this.#changed(task);
    return task;
  }

  /** See {@link TaskHandle.cancel}. */
  async cancel(id: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const task = await this.get(id, options);
    if (isFinished(task)) return;
    const { entries } = await listEntries(this.#options.state, tasksPrefix, options);
    const children = entries.map(decodeTask).filter(({ parent, state }) => parent === id && state === "accepted");
    for (const child of children) {
      // A child that deletes something is let finish: what it deletes is on its way out.
      if (child.action !== "delete") await this.cancel(child.id, options);
    }
    if (task.target !== undefined && this.cancelTarget !== undefined) await this.cancelTarget(task, options);
    else await this.finish(id, { state: "cancelled", error: cancelled(id).toJSON() }, options);
  }

  /** Shows how far a task has come. Events are throttled; nothing goes to disk. */
  report(id: string, progress?: Progress): void {
    const task = this.#tasks.get(id);
    if (this.#stopped || (task !== undefined && isFinished(task))) return;
    this.#live.report(id, progress);
  }

  /** Forgets the tasks whose time has passed. Runs by itself every ten minutes. */
  async forgetExpired(): Promise<number> {
    const { state, clock, retention } = this.#options;
    const expired = expiredTasks([...this.#tasks.values()], retention, clock.now());
    for (let start = 0; start < expired.length; start += 500) {
      const operations = expired
        .slice(start, start + 500)
        .map((id) => ({ type: "delete" as const, key: taskKeyOf(id) }));
      await state.transact({ compare: [], operations });
    }
    return expired.length;
  }

  #scheduleSweep(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancelSweep = this.#options.clock.schedule(delayMs, () => {
      this.#sweep = this.forgetExpired()
        .catch((error: unknown) => {
          this.#options.logger.warn("old tasks could not be forgotten", { error: String(error) });
        })
        .then(() => this.#scheduleSweep(600_000));
    });
  }

  #changed(task: TaskRecord): void {
    const known = this.#tasks.get(task.id);
    if (known !== undefined && (isFinished(known) || known.state === task.state)) return;
    this.#tasks.set(task.id, task);
    if (isFinished(task)) {
      // Progress that was held back is told before the end: a short task has shown none else.
      if (this.#live.takeHeld(task.id) && known !== undefined) this.#tell(known);
      this.#live.forget(task.id);
    }
    this.#tell(task);
  }

  #gone(id: string): void {
    this.#tasks.delete(id);
    this.#live.forget(id);
    for (const listener of [...(this.#listeners.get(id) ?? [])]) listener(undefined);
  }

  #tell(task: TaskRecord): void {
    const shown = this.#live.shown(task);
    this.#options.onTask?.(shown);
    for (const listener of [...(this.#listeners.get(task.id) ?? [])]) listener(shown);
  }

  async #finished(task: TaskRecord, { signal, timeoutMs, onProgress }: WaitOptions): Promise<TaskRecord> {
    if (isFinished(task)) return task;
    const { promise, resolve, reject } = Promise.withResolvers<TaskRecord>();
    const listener: Listener = (changed) => {
      if (changed === undefined) reject(this.#stopped ? stopped(task.id) : notFound(task.id));
      else if (isFinished(changed)) resolve(changed);
      else if (changed.progress !== undefined) onProgress?.(changed.progress);
    };
    const listeners = this.#listeners.get(task.id) ?? new Set();
    this.#listeners.set(task.id, listeners.add(listener));
    const onAbort = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const cancelTimer =
      timeoutMs === undefined
        ? undefined
        : this.#options.clock.schedule(timeoutMs, () => reject(tooLate(task.id, timeoutMs)));
    try {
      if (signal?.aborted) onAbort();
      else if (this.#stopped) reject(stopped(task.id));
      // It may have ended before anybody listened.
      else this.get(task.id, { signal }).then((now) => isFinished(now) && resolve(now), reject);
      return await promise;
    } finally {
      cancelTimer?.();
      signal?.removeEventListener("abort", onAbort);
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(task.id);
    }
  }
}

const notFound = (id: string): VdcError =>
  new VdcError("NOT_FOUND", `there is no task '${id}': it never was, or it ended so long ago that it was forgotten`);

const stopped = (id: string): VdcError =>
  new VdcError(
    "CANCELLED",
    `nobody can wait for task '${id}' any more: the datacenter is closing; the task goes on when it is opened`,
  );

const cancelled = (id: string): VdcError => new VdcError("CANCELLED", `task '${id}' was cancelled`);

const tooLate = (id: string, timeoutMs: number): VdcError =>
  new VdcError("DEADLINE_EXCEEDED", `task '${id}' did not end within ${timeoutMs} ms; it goes on`);
