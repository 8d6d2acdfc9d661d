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
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Handle, Providers } from "../extension-point/handle.ts";
import type { Plugin } from "../plugin/define-plugin.ts";
import type { PluginState } from "../plugin/plugin-state.ts";
import { TaskRegistry } from "../task/task-registry.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import type { KernelApi, PluginStatus, Provided } from "./kernel-api.ts";
import type { KernelOptions, ReconfigureOptions, ReplaceOptions } from "./kernel-options.ts";
import type { KernelServices } from "./kernel-services.ts";
import type { Plan } from "./plan.ts";
import { type KernelPhase, PluginChanges } from "./plugin-changes.ts";
import type { PluginInstance } from "./plugin-instance.ts";
import { PluginPolicy } from "./plugin-policy.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import { PluginTable } from "./plugin-table.ts";
import { Provider } from "./provider.ts";
import { assertExtensionPoint, ProviderRegistry } from "./provider-registry.ts";
import { shutDown } from "./shutdown.ts";
import { reportPlugins, StartError, StartReport } from "./start-report.ts";
import { noteDegradation, Startup } from "./startup.ts";
import { StopReport } from "./stop-report.ts";
import { TurnClock } from "./turn-clock.ts";

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
  readonly #plugins: PluginTable;
  readonly #changes: PluginChanges;
  #phase: KernelPhase = "idle";
  #startup: Startup | undefined;
  #starting: Promise<StartReport> | undefined;
  #stopping: Promise<StopReport> | undefined;

  constructor(options: KernelOptions = {}) {
    const clock = options.clock ?? systemClock;
    const random = options.random ?? systemRandom;
    const logger = options.logger ?? silentLogger;
    const validation = options.validation ?? "inputs";
    const onListenerError: ListenerErrorSink = (failure) => this.#reportListener(failure);
    const calls = { clock, random, logger, validation };
    const adapters = options.adapters ?? [];
    this.#plugins = new PluginTable({ adapters, onTransition: this.#onTransition });
    this.events = new EventBus({ onListenerError, validate: validation === "full" });
    this.hooks = new HookRegistry({ onListenerError });
    this.tasks = new TaskRegistry({ events: this.events, ...calls });
    const explain = (point: string, name: string | undefined): string => this.#plugins.explain(point, name);
    this.#services = {
      ...calls,
      events: this.events,
      hooks: this.hooks,
      providers: new ProviderRegistry({ adapters, services: calls, explain }),
      turn: new TurnClock(clock),
      watch: new DeadlineWatch(clock),
      policy: new PluginPolicy(options.policy),
      onDegraded: (scope, reason) => noteDegradation(this.#plugins.get(scope.id), scope, reason),
    };
    this.#changes = new PluginChanges({
      plugins: this.#plugins,
      services: this.#services,
      phase: () => this.#phase,
    });
    this.#audience = this.events.audience(pluginStateChanged);
    this.events.replayFrom(pluginStateChanged, () => this.#plugins.currentStates());
    for (const registration of options.plugins ?? []) this.#plugins.add(registration);
  }

  /** Adds a plugin. One that is added to a running kernel starts at once, with what is blocked and can start now. */
  use(registration: PluginRegistration): void {
    if (this.#plugins.has(registration.id)) {
      throw new VdcError("ALREADY_EXISTS", `a plugin with the id '${registration.id}' is registered already`);
    }
    this.#plugins.add(registration);
    this.#changes.resume();
  }

  /** What `start` would do: the order, and for each plugin that cannot be started all the reasons. Runs no code of any plugin. */
  plan(): Plan {
    return this.#plugins.plan();
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
    this.#plugins.provided.add(provider);
    providers.add(provider);
    this.#changes.resume();
    const remove = async (): Promise<void> => {
      if (!this.#plugins.provided.delete(provider)) return;
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
    return this.#plugins.all.map(toStatus);
  }

  /** Where a plugin is in its life. Throws `NOT_FOUND`. */
  status(id: string): PluginStatus {
    return toStatus(this.#plugins.get(id));
  }

  /**
   * Gives a plugin another config. The config is checked before anything is torn down, and when the plugin does not come up with it,
   * the plugin goes on with the previous one and the error is thrown.
   */
  async reconfigure(id: string, config: unknown, options: ReconfigureOptions = {}): Promise<void> {
    const next = (present: PluginRegistration): PluginRegistration => ({ ...present, config });
    await this.#changes.exchange(id, { next, overlap: options.overlap ?? false, reason: "its config was changed" });
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
    await this.#changes.exchange(id, { next, overlap: options.overlap ?? false, reason: "it was replaced" });
  }

  /** Starts a plugin that has failed or is blocked once more, and what is blocked by it. Rejects with the cause when it fails again. */
  async retry(id: string): Promise<void> {
    await this.#changes.retry(id);
  }

  readonly #onTransition = (instance: PluginInstance, from: PluginState): void => {
    if (instance.state === "failed") {
      this.#services.logger.error(`plugin '${instance.id}' failed`, { plugin: instance.id, reason: instance.reason });
    }
    if (this.#audience.size === 0) return;
    const { id, state, reason, waitsFor } = instance;
    this.events.emit(pluginStateChanged, { plugin: id, from, to: state, reason, waitsFor });
  };

  async #start(signal: AbortSignal | undefined): Promise<StartReport> {
    const { clock } = this.#services;
    const began = clock.monotonic();
    this.#plugins.applyPlan();
    let failure = this.#plugins.requiredRejection();
    if (signal?.aborted) failure = new VdcError("CANCELLED", "the start was cancelled", { cause: signal.reason });
    if (failure === undefined) {
      const startup = new Startup({
        order: this.#plugins.order,
        find: this.#plugins.find,
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
      plugins: reportPlugins(this.#plugins.order, this.#plugins.all),
    });
    if (failure !== undefined) throw new StartError(report, failure);
    this.#phase = "running";
    return report;
  }

  #stopAll(reason: string): Promise<StopReport> {
    this.#phase = "stopping";
    this.tasks.cancelAll(reason);
    const stop = async (): Promise<StopReport> => {
      await this.#changes.settled();
      const report = await shutDown(this.#plugins.running(), this.#services, reason);
      this.#phase = "idle";
      this.#stopping = undefined;
      return report;
    };
    this.#stopping = stop();
    return this.#stopping;
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

function toStatus(instance: PluginInstance): PluginStatus {
  const { id, registration, state, reason, waitsFor, cause } = instance;
  return { id, policy: registration.policy, state, reason, waitsFor, cause: isVdcError(cause) ? cause : undefined };
}
