import { type Clock, createOperationContext, type Logger, type Random, VdcError } from "@vdc-os/core";
import type { IntentJournal } from "../journal/intent-journal.ts";
import { failedCondition } from "../resource/condition.ts";
import type { ObjectKey, Resource } from "../resource/resource.ts";
import type { ObjectCache } from "../store/object-cache.ts";
import type { ResourceStore } from "../store/resource-store.ts";
import type { TaskManager } from "../task/task-manager.ts";
import type { Controller, ReconcileContext, ReconcileResult } from "./define-controller.ts";
import { KeyedWorker, type WorkerStatus } from "./keyed-worker.ts";

/** What a controller runs on. */
export interface ControllerEnvironment {
  readonly store: ResourceStore;
  readonly cache: ObjectCache;
  readonly tasks: TaskManager;
  readonly journal: IntentJournal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Runs one controller: which keys to look at, and what surrounds a reconcile. */
export class ControllerRunner {
  readonly #controller: Controller;
  readonly #environment: ControllerEnvironment;
  readonly #worker: KeyedWorker<ObjectKey>;
  readonly #name: string;
  readonly #unsubscribe: (() => void)[] = [];
  #cancelResync: (() => void) | undefined;

  constructor(controller: Controller, environment: ControllerEnvironment) {
    this.#controller = controller;
    this.#environment = environment;
    this.#name = controller.name ?? controller.kind.kind;
    this.#worker = new KeyedWorker({
      name: this.#name,
      clock: environment.clock,
      random: environment.random,
      logger: environment.logger,
      id: ({ tenant, name }) => `${tenant}/${name}`,
      group: ({ tenant }) => tenant,
      concurrency: controller.concurrency ?? 4,
      backoffBaseMs: controller.backoffBaseMs,
      backoffMaxMs: controller.backoffMaxMs,
      run: (key, signal) => this.#reconcile(key, signal),
    });
  }

  /** Looks at every object once, and from then on at what changes. The cache must have started. */
  start(): void {
    const { cache } = this.#environment;
    const { kind, watches = [] } = this.#controller;
    this.#unsubscribe.push(
      cache.onChange(({ object, old }) => {
        if (object.kind === kind.kind) this.#worker.add(keyOf(object));
        for (const watch of watches) {
          if (watch.kind.kind !== object.kind) continue;
          for (const key of watch.keys(object, cache)) this.#worker.add(key);
          if (old === undefined || old === object) continue;
          for (const key of watch.keys(old, cache)) this.#worker.add(key);
        }
      }),
      cache.onGap(() => this.resync()),
    );
    this.resync();
    this.#scheduleResync();
    this.#worker.start();
  }

  /** Wants every object looked at. */
  resync(): void {
    for (const object of this.#environment.cache.list(this.#controller.kind)) this.#worker.add(keyOf(object));
  }

  /** Wants one object looked at. */
  enqueue(key: ObjectKey): void {
    this.#worker.add(key);
  }

  /** See {@link KeyedWorker.stop}. */
  stop(options: { readonly drainMs?: number; readonly abortMs?: number }): Promise<readonly string[]> {
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe();
    this.#cancelResync?.();
    return this.#worker.stop(options);
  }

  get kind(): string {
    return this.#controller.kind.kind;
  }

  get status(): WorkerStatus {
    return this.#worker.status;
  }

  #scheduleResync(): void {
    const { resyncIntervalMs = 600_000 } = this.#controller;
    this.#cancelResync = this.#environment.clock.schedule(resyncIntervalMs, () => {
      this.resync();
      this.#scheduleResync();
    });
  }

  async #reconcile(key: ObjectKey, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { store } = this.#environment;
    const { kind } = this.#controller;
    const object = await store.find(kind, key, { signal });
    const context = await this.#contextOf(key, object, signal);
    for (const { id } of object?.metadata.pendingTasks ?? []) this.#environment.tasks.report(id);
    const result = (await this.#controller.reconcile(context, key)) ?? undefined;
    if (result?.failed === undefined || object === undefined) return result;
    const { failed } = result;
    const { generation: observedGeneration, uid: ifUid } = object.metadata;
    const { reason, message } = failed;
    const condition = { type: failedCondition, status: "True" as const, reason, message };
    await store.updateStatus(
      kind,
      key,
      { conditions: [condition] },
      { observedGeneration, ifUid, error: failed.toJSON(), signal },
    );
    return result;
  }

  async #contextOf(
    key: ObjectKey,
    object: Resource | undefined,
    signal: AbortSignal,
  ): Promise<ReconcileContext<unknown, unknown>> {
    const { store, cache, journal, clock, random, tasks } = this.#environment;
    const { kind } = this.#controller;
    const logger = this.#environment.logger.child({ controller: this.#name, tenant: key.tenant, name: key.name });
    const intents = await journal.pending({ kind: kind.kind, key, signal });
    const required = (): Resource => {
      if (object !== undefined) return object;
      throw new VdcError(
        "NOT_FOUND",
        `${kind.kind} '${key.name}' of tenant '${key.tenant}' is gone: there is nothing to write`,
      );
    };
    return {
      key,
      object,
      get ownerStamp() {
        return journal.stampOf(required());
      },
      store,
      cache,
      journal,
      intents,
      signal,
      operation: createOperationContext({ signal, tenant: key.tenant }, { logger, clock, random }),
      logger,
      clock,
      random,
      progress: (update) => {
        for (const { id } of object?.metadata.pendingTasks ?? []) tasks.report(id, update);
      },
      updateStatus: async (change) => {
        const { generation: observedGeneration, uid: ifUid } = required().metadata;
        return store.updateStatus(kind, key, change, { observedGeneration, ifUid, signal });
      },
      removeFinalizer: async (finalizer) =>
        store.removeFinalizer(kind, key, finalizer, { ifUid: required().metadata.uid, signal }),
    };
  }
}

function keyOf({ metadata: { tenant, name } }: Resource): ObjectKey {
  return { tenant, name };
}
