/**
 * The control plane: everything of this framework, put together over one state store.
 *
 * ```ts
 * const plane = createControlPlane({ state: kernel.get(stateStore), datacenter: uid, kinds: [volume], controllers: [volumeController] });
 * await plane.start();
 * const { task } = await plane.store.create(volume, { name: "disk-1", spec: { sizeBytes: 2 ** 30 } });
 * const disk = await task.wait({ timeoutMs: 30_000 });
 * await plane.stop();
 * ```
 *
 * `start` lists what the state store holds and has every controller look at every object; whatever a former process left half-done is
 * then taken up. `stop` lets running reconciles finish, and then aborts them. Nothing of it needs a clean stop.
 */
import {
  type Clock,
  type Logger,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
  toVdcError,
  VdcError,
} from "@vdc-os/core";
import type { Policy } from "../admission/admission.ts";
import type { Quotas } from "../admission/quota.ts";
import { IntentJournal } from "../journal/intent-journal.ts";
import type { AnyKind } from "../resource/kind.ts";
import type { ObjectKey } from "../resource/resource.ts";
import { ObjectCache } from "../store/object-cache.ts";
import { ResourceStore } from "../store/resource-store.ts";
import type { StateAccess } from "../store/state-access.ts";
import { defaultTaskRetention, type TaskRetention } from "../task/expired-tasks.ts";
import { TaskManager } from "../task/task-manager.ts";
import { ControllerRunner } from "./controller-runner.ts";
import type { Controller } from "./define-controller.ts";
import { DependentsCollector } from "./dependents-collector.ts";
import type { WorkerStatus } from "./keyed-worker.ts";
import { type EventSink, resourceChanged, taskChanged } from "./resource-events.ts";

/** Options of {@link createControlPlane}. */
export interface ControlPlaneOptions {
  readonly state: StateAccess;
  /** The datacenter's uid, for owner stamps. */
  readonly datacenter: string;
  /** Every kind that objects may have. No two of one name. */
  readonly kinds: readonly AnyKind[];
  readonly controllers?: readonly Controller[];
  readonly policies?: readonly Policy[];
  /** Limits, or how to look them up: asked for each change. Defaults to none. */
  readonly quotas?: Quotas | (() => Quotas);
  readonly events?: EventSink;
  /** Defaults to {@link defaultTaskRetention}. */
  readonly taskRetention?: TaskRetention;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** How long {@link ControlPlane.stop} waits. */
export interface StopOptions {
  /** For running reconciles to finish, in milliseconds. Defaults to 5000. */
  readonly drainMs?: number;
  /** After that, for them to heed their aborted signal, in milliseconds. Defaults to 5000. */
  readonly abortMs?: number;
}

/** What the control plane is doing, for a status page. */
export interface ControlPlaneStatus {
  readonly controllers: readonly WorkerStatus[];
}

/** See the top of this file. */
export interface ControlPlane {
  readonly store: ResourceStore;
  readonly tasks: TaskManager;
  readonly journal: IntentJournal;
  readonly cache: ObjectCache;
  readonly kinds: ReadonlyMap<string, AnyKind>;
  readonly status: ControlPlaneStatus;
  start(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Returns the keys whose reconcile did not end even when aborted, as `controller:tenant/name`. */
  stop(options?: StopOptions): Promise<readonly string[]>;
  /** Has a kind's controllers look at an object now, or at all of them: when something outside has changed. */
  enqueue(kind: AnyKind, key?: ObjectKey): void;
}

/** Puts the framework together. Nothing runs before {@link ControlPlane.start}. Throws a `TypeError` for two kinds of one name. */
export function createControlPlane(options: ControlPlaneOptions): ControlPlane {
  const { state, datacenter, events, policies = [], quotas = {}, controllers = [] } = options;
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = options;
  const { taskRetention: retention = defaultTaskRetention } = options;
  const kinds = registryOf(options.kinds, controllers);
  const emit: EventSink["emit"] = (event, payload) => {
    try {
      events?.emit(event, payload);
    } catch (error) {
      logger.error("an event could not be told", { event: event.id, error: toVdcError(error).message });
    }
  };
  const base = { state, clock, random, logger };
  const tasks = new TaskManager({ ...base, retention, onTask: (task) => emit(taskChanged, task) });
  const journal = new IntentJournal({ state, clock, datacenter });
  const cache = new ObjectCache({ ...base, kinds });
  const limits = typeof quotas === "function" ? quotas : () => quotas;
  const store = new ResourceStore({ ...base, kinds, tasks, policies, quotas: limits });
  const environment = { store, cache, tasks, journal, clock, random, logger };
  const runners = controllers.map((controller) => new ControllerRunner(controller, environment));
  const collector = new DependentsCollector({ ...environment, kinds });
  cache.onChange(({ type, object }) => emit(resourceChanged, { type, object }));
  let stopping: Promise<readonly string[]> | undefined;

  return {
    store,
    tasks,
    journal,
    cache,
    kinds,
    get status() {
      return { controllers: [...runners, collector].map(({ status }) => status) };
    },
    async start({ signal } = {}) {
      if (stopping !== undefined)
        throw new VdcError("FAILED_PRECONDITION", "a control plane that was stopped cannot be started again");
      await Promise.all([tasks.start({ signal }), cache.start({ signal })]);
      for (const worker of [...runners, collector]) worker.start();
    },
    stop(stopOptions = {}) {
      stopping ??= (async () => {
        const left = await Promise.all(
          [...runners, collector].map(async (worker) => {
            const keys = await worker.stop(stopOptions);
            return keys.map((key) => `${worker.status.name}:${key}`);
          }),
        );
        await Promise.all([cache.stop(), tasks.stop()]);
        return left.flat();
      })();
      return stopping;
    },
    enqueue(kind, key) {
      for (const runner of runners) {
        if (runner.kind !== kind.kind) continue;
        if (key === undefined) runner.resync();
        else runner.enqueue(key);
      }
    },
  };
}

function registryOf(kinds: readonly AnyKind[], controllers: readonly Controller[]): ReadonlyMap<string, AnyKind> {
  const registry = new Map<string, AnyKind>();
  for (const kind of [...kinds, ...controllers.map((controller) => controller.kind)]) {
    const known = registry.get(kind.kind);
    if (known !== undefined && known !== kind) throw new TypeError(`there are two kinds '${kind.kind}'`);
    registry.set(kind.kind, kind);
  }
  return registry;
}
