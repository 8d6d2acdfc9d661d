import { systemClock } from "../context/clock.ts";
import { createOperationContext } from "../context/create-operation-context.ts";
import { silentLogger } from "../context/logger.ts";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import { systemRandom } from "../context/random.ts";
import { isVdcError, VdcError } from "../error/vdc-error.ts";
import { EventBus, type ListenerErrorSink } from "../event/event-bus.ts";
import { HookRegistry } from "../event/hook-registry.ts";
import { listenerFailed, pluginStateChanged } from "../event/kernel-events.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { ContractAdapter } from "../extension-point/contract-adapter.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Handle, Providers } from "../extension-point/handle.ts";
import type { Plugin } from "../plugin/define-plugin.ts";
import type { PluginState } from "../plugin/plugin-state.ts";
import { TaskRegistry } from "../task/task-registry.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import { exchange } from "./exchange.ts";
import type { KernelApi, PluginStatus, Provided } from "./kernel-api.ts";
import type { KernelOptions, ReconfigureOptions, ReplaceOptions } from "./kernel-options.ts";
import type { KernelServices } from "./kernel-services.ts";
import { makePlan } from "./make-plan.ts";
import type { Plan, PlannedPlugin, PlannedProvision, PlanProblem } from "./plan.ts";
import { PluginInstance } from "./plugin-instance.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import { Provider } from "./provider.ts";
import { assertExtensionPoint, ProviderRegistry } from "./provider-registry.ts";
import { shutDown } from "./shutdown.ts";
import { reportPlugins, StartError, StartReport } from "./start-report.ts";
import { noteDegradation, Startup } from "./startup.ts";
import { StopReport } from "./stop-report.ts";

/** Problems that may go away by themselves: their plugin waits. With the others it has failed. */
const passing: ReadonlySet<PlanProblem["kind"]> = new Set([
  "missing-requirement",
  "ambiguous-requirement",
  "incompatible-contract",
  "rejected-requirement",
  "cycle",
]);

/**
 * Runs plugins: resolves their order, starts and stops them, isolates what fails, and gives consumers stable handles on what they
 * provide.
 *
 * @example
 * ```ts
 * await using kernel = new Kernel({ plugins: [use(thinProvisioning, { config: { path: "/srv/vdc" } })] });
 * console.log(String(await kernel.start()));
 * const storage = kernel.get(storageProvider);
 * await storage.create({ name: "disk-1", sizeBytes: 2 ** 30 }, { timeoutMs: 5_000 });
 * ```
 */
export class Kernel implements KernelApi, AsyncDisposable {
  readonly events: EventBus;
  readonly hooks: HookRegistry;
  readonly tasks: TaskRegistry;
  readonly #services: KernelServices;
  readonly #audience: { readonly size: number };
  readonly #adapters: readonly ContractAdapter[];
  readonly #instances: PluginInstance[] = [];
  readonly #byId = new Map<string, PluginInstance>();
  readonly #provided = new Set<Provider>();
  #phase: "idle" | "starting" | "running" | "stopping" = "idle";
  #plan: Plan = { order: [], rejected: [] };
  #startup: Startup | undefined;
  #starting: Promise<StartReport> | undefined;
  #stopping: Promise<StopReport> | undefined;
  #resuming: Promise<void> | undefined;

  constructor(options: KernelOptions = {}) {
    const clock = options.clock ?? systemClock;
    const random = options.random ?? systemRandom;
    const logger = options.logger ?? silentLogger;
    const validation = options.validation ?? "inputs";
    const onListenerError: ListenerErrorSink = (failure) => this.#reportListener(failure);
    const calls = { clock, random, logger, validation };
    this.#adapters = options.adapters ?? [];
    this.events = new EventBus({ onListenerError, validate: validation === "full" });
    this.hooks = new HookRegistry({ onListenerError });
    this.tasks = new TaskRegistry({ events: this.events, ...calls });
    const explain = (point: string, name: string | undefined): string => this.#explain(point, name);
    this.#services = {
      ...calls,
      events: this.events,
      hooks: this.hooks,
      providers: new ProviderRegistry({ adapters: this.#adapters, services: calls, explain }),
      watch: new DeadlineWatch(clock),
      onDegraded: (scope, reason) => noteDegradation(this.#instance(scope.id), scope, reason),
    };
    this.#audience = this.events.audience(pluginStateChanged);
    this.events.replayFrom(pluginStateChanged, () => this.#currentStates());
    for (const registration of options.plugins ?? []) this.#register(registration);
  }

  /** Adds a plugin. One that is added to a running kernel starts at once, with what is blocked and can start now. */
  use(registration: PluginRegistration): void {
    if (this.#byId.has(registration.id)) {
      throw new VdcError("ALREADY_EXISTS", `a plugin with the id '${registration.id}' is registered already`);
    }
    this.#register(registration);
    this.#resume();
  }

  /** What `start` would do: the order, and for each plugin that cannot be started all the reasons. Runs no code of any plugin. */
  plan(): Plan {
    return this.#planWith(this.#instances.map(({ registration }) => registration));
  }

  /**
   * Starts the plugins. Resolves with the report when every required plugin is ready; rejects with a {@link StartError} that carries
   * the same report when one is not, after whatever had been started was stopped again.
   */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<StartReport> {
    if (this.#phase !== "idle") {
      throw new VdcError("FAILED_PRECONDITION", `the kernel is ${this.#phase}: it cannot be started now`);
    }
    this.#phase = "starting";
    this.#starting = this.#start(options.signal);
    try {
      return await this.#starting;
    } finally {
      this.#starting = undefined;
    }
  }

  /**
   * Stops everything, dependents before what they depend on. Never rejects: the report names what could not be released. A start
   * that is under way is given up.
   */
  async stop(reason = "the kernel is being stopped"): Promise<StopReport> {
    if (this.#starting !== undefined) {
      this.#startup?.cancel(new VdcError("CANCELLED", `the start was given up: ${reason}`));
      await this.#starting.catch(() => undefined);
    }
    if (this.#stopping !== undefined) return this.#stopping;
    if (this.#phase !== "running") return new StopReport({ durationMs: 0, plugins: [] });
    return this.#stopAll(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get<T extends Contract>(point: ExtensionPoint<T>, name?: string): Handle<T> {
    return this.#services.providers.handle(point, name);
  }

  all<T extends Contract>(point: ExtensionPoint<T>): Providers<T> {
    return this.#services.providers.directory(point);
  }

  provide<T extends Contract>(point: ExtensionPoint<T>, name: string, implementation: T): Provided {
    assertExtensionPoint(point);
    const { providers } = this.#services;
    if (providers.get(point.id, name) !== undefined) {
      throw new VdcError("ALREADY_EXISTS", `'${point.id}' is provided as '${name}' already`);
    }
    const provider = new Provider({ point, name, implementation, plugin: undefined, services: this.#services });
    this.#provided.add(provider);
    providers.add(provider);
    this.#resume();
    const remove = async (): Promise<void> => {
      if (!this.#provided.delete(provider)) return;
      providers.remove(provider);
      await provider.drain(2_000);
      provider.end(new VdcError("UNAVAILABLE", `${provider.describe()} was removed`));
    };
    return { remove, [Symbol.asyncDispose]: remove };
  }

  operation(options: CallOptions = {}): OperationContext {
    return createOperationContext(options, this.#services);
  }

  /** Where every plugin is in its life, in registration order. */
  statuses(): readonly PluginStatus[] {
    return this.#instances.map(toStatus);
  }

  /** Where a plugin is in its life. Throws `NOT_FOUND`. */
  status(id: string): PluginStatus {
    return toStatus(this.#instance(id));
  }

  /**
   * Gives a plugin another config. The config is checked before anything is torn down, and when the plugin does not come up with it,
   * the plugin goes on with the previous one and the error is thrown.
   */
  async reconfigure(id: string, config: unknown, options: ReconfigureOptions = {}): Promise<void> {
    await this.#exchange(id, (present) => ({ ...present, config }), options, "its config was changed");
  }

  /**
   * Puts another plugin in a plugin's place, such as another version of it: calls in flight finish on the old one, later calls wait
   * for the new one. When that does not come up, the old one goes on and the error is thrown.
   */
  async replace(id: string, plugin: Plugin, options: ReplaceOptions = {}): Promise<void> {
    const next = (present: PluginRegistration): PluginRegistration => ({
      id,
      plugin,
      config: "config" in options ? options.config : present.config,
      policy: options.policy ?? present.policy,
      deadlines: { ...present.deadlines, ...options.deadlines },
    });
    await this.#exchange(id, next, options, "it was replaced");
  }

  /** Starts a plugin that has failed or is blocked once more, and what is blocked by it. Rejects with the cause when it fails again. */
  async retry(id: string): Promise<void> {
    const instance = this.#instance(id);
    await this.#serialise(instance, async () => {
      this.#assertRunning("retry a plugin");
      if (instance.state !== "failed" && instance.state !== "blocked") {
        throw new VdcError("FAILED_PRECONDITION", `plugin '${id}' is ${instance.state}: there is nothing to retry`);
      }
      await this.#startMore(new Set([instance]));
      if (!instance.running) throw instance.cause ?? new VdcError("FAILED_PRECONDITION", instance.reason);
    });
  }

  #register(registration: PluginRegistration): void {
    const instance = new PluginInstance(registration, this.#onTransition);
    this.#instances.push(instance);
    // A second plugin of one id stays out of the index; the plan rejects it.
    if (!this.#byId.has(registration.id)) this.#byId.set(registration.id, instance);
  }

  readonly #onTransition = (instance: PluginInstance, from: PluginState): void => {
    if (instance.state === "failed") {
      this.#services.logger.error(`plugin '${instance.id}' failed`, { plugin: instance.id, reason: instance.reason });
    }
    if (this.#audience.size === 0) return;
    const { id, state, reason, waitsFor } = instance;
    this.events.emit(pluginStateChanged, { plugin: id, from, to: state, reason, waitsFor });
  };

  #currentStates(): Iterable<{
    plugin: string;
    from: undefined;
    to: PluginState;
    reason: string;
    waitsFor: readonly string[];
  }> {
    return this.#instances.map(({ id, state, reason, waitsFor }) => ({
      plugin: id,
      from: undefined,
      to: state,
      reason,
      waitsFor,
    }));
  }

  #planWith(plugins: readonly PluginRegistration[]): Plan {
    const provided: PlannedProvision[] = [];
    for (const { point, name } of this.#provided) provided.push({ point: point.id, version: point.version, name });
    return makePlan({ plugins, provided, adapters: this.#adapters });
  }

  async #start(signal: AbortSignal | undefined): Promise<StartReport> {
    const { clock } = this.#services;
    const began = clock.monotonic();
    this.#applyPlan(this.plan());
    let failure: VdcError | undefined = this.#requiredRejection();
    if (signal?.aborted) failure = new VdcError("CANCELLED", "the start was cancelled", { cause: signal.reason });
    if (failure === undefined) {
      const startup = new Startup({
        order: this.#plan.order,
        instances: this.#byId,
        services: this.#services,
        onRequiredFailed: (error) => {
          failure ??= error;
          startup.cancel(new VdcError("CANCELLED", `the start was given up: ${error.message}`));
        },
      });
      this.#startup = startup;
      const onAbort = (): void =>
        startup.cancel(new VdcError("CANCELLED", "the start was cancelled", { cause: signal?.reason }));
      signal?.addEventListener("abort", onAbort, { once: true });
      await startup.run().done;
      signal?.removeEventListener("abort", onAbort);
      this.#startup = undefined;
      failure ??= startup.cancelled;
    }
    if (failure !== undefined) await this.#stopAll("the kernel could not be started");
    const report = new StartReport({
      ok: failure === undefined,
      durationMs: clock.monotonic() - began,
      plugins: reportPlugins(this.#plan, this.#byId, this.#instances),
    });
    if (failure !== undefined) throw new StartError(report, failure);
    this.#phase = "running";
    return report;
  }

  /** Takes over a plan: the edges of what is in its order; the state of what is not. */
  #applyPlan(plan: Plan): void {
    this.#plan = plan;
    for (const planned of plan.order) (this.#byId.get(planned.id) as PluginInstance).planned = planned;
    if (plan.rejected.length === 0) return;
    const rejected = Map.groupBy(plan.rejected, ({ id }) => id);
    for (const instance of this.#instances) {
      const isFirst = this.#byId.get(instance.id) === instance;
      // Of several with one id the first is in the index; the others are rejected for it.
      const own = rejected.get(instance.id)?.find(({ problems }) => isFirst !== problems.some(isDuplicate));
      if (own !== undefined && !instance.running) applyProblems(instance, own.problems);
    }
  }

  #requiredRejection(): VdcError | undefined {
    const rejected = this.#instances.filter(
      ({ state, registration }) => (state === "failed" || state === "blocked") && registration.policy === "required",
    );
    if (rejected.length === 0) return undefined;
    return new VdcError("FAILED_PRECONDITION", rejected.map(({ reason }) => reason).join("\n"), {
      reason: "VDC_PLAN_REJECTED",
      blockers: rejected.map(({ id }) => ({ kind: "plugin", name: id })),
    });
  }

  #stopAll(reason: string): Promise<StopReport> {
    this.#phase = "stopping";
    this.tasks.cancelAll(reason);
    const stop = async (): Promise<StopReport> => {
      // What is just being exchanged or retried finishes first: it is bounded by its own deadlines.
      await Promise.allSettled([...this.#instances.map(({ busy }) => busy), this.#resuming]);
      const running = this.#plan.order
        .map(({ id }) => this.#byId.get(id) as PluginInstance)
        .filter(({ scope }) => scope !== undefined);
      const known = new Set(running);
      const others = this.#instances.filter((instance) => instance.scope !== undefined && !known.has(instance));
      const report = await shutDown([...running, ...others], this.#services, reason);
      this.#phase = "idle";
      this.#stopping = undefined;
      return report;
    };
    this.#stopping = stop();
    return this.#stopping;
  }

  /** Starts whatever is blocked or new and can start now. Called when something came that it may have waited for. */
  #resume(): void {
    if (this.#phase !== "running") return;
    const previous = this.#resuming ?? Promise.resolve();
    this.#resuming = previous.then(async () => {
      if (this.#phase === "running") await this.#startMore(new Set());
    });
  }

  async #startMore(chosen: ReadonlySet<PluginInstance>): Promise<void> {
    this.#applyPlan(this.plan());
    const wanted = (planned: PlannedPlugin): boolean => {
      const instance = this.#byId.get(planned.id) as PluginInstance;
      return chosen.has(instance) || instance.state === "blocked" || instance.state === "registered";
    };
    const order = this.#plan.order.filter(wanted);
    if (order.length === 0) return;
    const onRequiredFailed = (): void => undefined;
    await new Startup({ order, instances: this.#byId, services: this.#services, onRequiredFailed }).run().done;
  }

  async #exchange(
    id: string,
    nextOf: (present: PluginRegistration) => PluginRegistration,
    { overlap = false }: ReconfigureOptions,
    reason: string,
  ): Promise<void> {
    const instance = this.#instance(id);
    await this.#serialise(instance, async () => {
      const next = nextOf(instance.registration);
      this.#assertPlanAccepts(instance, next);
      if (this.#phase === "idle") {
        instance.registration = next;
        return;
      }
      this.#assertRunning("exchange a plugin");
      if (instance.running) {
        await exchange({ instance, next, services: this.#services, overlap, reason });
        this.#applyPlan(this.plan());
      } else {
        const previous = instance.registration;
        instance.registration = next;
        await this.#startMore(new Set([instance]));
        if (!instance.running) {
          instance.registration = previous;
          throw instance.cause ?? new VdcError("FAILED_PRECONDITION", instance.reason);
        }
      }
    });
    this.#resume();
  }

  /** Refuses a change that would make the plugin, or one that depends on it, impossible. */
  #assertPlanAccepts(instance: PluginInstance, next: PluginRegistration): void {
    const present = new Set(this.plan().rejected.map(({ id }) => id));
    const plan = this.#planWith(this.#instances.map((other) => (other === instance ? next : other.registration)));
    const worse = plan.rejected.filter(({ id }) => id === instance.id || !present.has(id));
    if (worse.length === 0) return;
    throw new VdcError("FAILED_PRECONDITION", worse.flatMap(({ problems }) => problems.map(messageOf)).join("\n"), {
      reason: "VDC_PLAN_REJECTED",
      plugin: instance.id,
      blockers: worse.map(({ id }) => ({ kind: "plugin", name: id })),
    });
  }

  async #serialise(instance: PluginInstance, run: () => Promise<void>): Promise<void> {
    const result = instance.busy.then(run);
    instance.busy = result.catch(() => undefined);
    await result;
  }

  #assertRunning(action: string): void {
    if (this.#phase === "running") return;
    throw new VdcError("FAILED_PRECONDITION", `the kernel is ${this.#phase}: it cannot ${action} now`);
  }

  #instance(id: string): PluginInstance {
    const instance = this.#byId.get(id);
    if (instance === undefined) throw new VdcError("NOT_FOUND", `there is no plugin '${id}'`);
    return instance;
  }

  /** Why a provider is not there. */
  #explain(point: string, name: string | undefined): string {
    const what = name === undefined ? `a provider of '${point}'` : `provider '${name}' of '${point}'`;
    const plan = this.plan();
    const owners = this.#instances.filter(({ id, registration }) => {
      const planned = plan.order.find((other) => other.id === id);
      if (planned === undefined)
        return registration.plugin.manifest?.provides.some((other) => other.point.id === point);
      return planned.provides.some((other) => other.point === point && (name === undefined || other.name === name));
    });
    if (owners.length === 0) return `${what} is not there: no plugin provides it`;
    const states = owners.map(({ id, state, reason }) => `plugin '${id}' is ${state} (${reason})`);
    return `${what} is not there: ${states.join("; ")}`;
  }

  #reportListener({ plugin, source, error }: Parameters<ListenerErrorSink>[0]): void {
    this.#services.logger.warn(`a listener of '${source}' failed`, {
      ...(plugin === undefined ? {} : { plugin }),
      error: error.message,
    });
    // A failing listener of this very event must not report itself for ever.
    if (source !== listenerFailed.id) this.events.emit(listenerFailed, { plugin, source, message: error.message });
  }
}

function isDuplicate({ kind }: PlanProblem): boolean {
  return kind === "duplicate-id";
}

function messageOf({ message }: PlanProblem): string {
  return message;
}

function applyProblems(instance: PluginInstance, problems: readonly PlanProblem[]): void {
  const reason = problems.map(messageOf).join("\n");
  if (problems.every(({ kind }) => passing.has(kind))) {
    if (instance.state === "blocked" && instance.reason === reason) return;
    instance.moveTo(
      "blocked",
      reason,
      problems.map(({ waitsFor, path }) => waitsFor ?? path?.[1] ?? "").filter(Boolean),
    );
  } else {
    instance.fail(new VdcError("FAILED_PRECONDITION", reason, { reason: "VDC_PLAN_REJECTED", plugin: instance.id }));
  }
}

function toStatus(instance: PluginInstance): PluginStatus {
  const { id, registration, state, reason, waitsFor, cause } = instance;
  return { id, policy: registration.policy, state, reason, waitsFor, cause: isVdcError(cause) ? cause : undefined };
}
