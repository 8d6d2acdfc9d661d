import type { Clock } from "../context/clock.ts";
import { createOperationContext } from "../context/create-operation-context.ts";
import type { Logger } from "../context/logger.ts";
import type { CallOptions, OperationContext, Random } from "../context/operation-context.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { EventToken } from "../event/event-token.ts";
import type { HookFunction, HookKind, HookResult, HookToken } from "../event/hook-token.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { AnyExtensionPoint, ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Requirements } from "../plugin/manifest.ts";
import type { HookOptions, PluginContext } from "../plugin/plugin-context.ts";
import type { KernelServices } from "./kernel-services.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import { Provider } from "./provider.ts";
import { providerName } from "./provider-name.ts";
import { type Acquired, type ReleaseReport, releaseAll } from "./release.ts";

/** Handles by the name under which a plugin's `setup` sees them. */
type HandleRecord = Readonly<Record<string, unknown>>;

const noHandles: HandleRecord = Object.freeze({});
const nothing: readonly never[] = Object.freeze([]);

/**
 * What one run of a plugin owns: its context, and everything that came through it.
 *
 * Most plugins use little of it, so that its parts are made when they are first asked for.
 */
export class PluginScope implements PluginContext {
  /** What the plugin says is wrong with it. */
  degradation: string | undefined;
  readonly #registration: PluginRegistration;
  readonly #services: KernelServices;
  #acquired: Acquired[] | undefined;
  #providers: Provider[] | undefined;
  #controller: AbortController | undefined;
  #abortReason: VdcError | undefined;
  #sealed = false;
  #logger: Logger | undefined;
  #requires: HandleRecord | undefined;
  #uses: HandleRecord | undefined;
  #closing: Promise<ReleaseReport> | undefined;

  constructor(registration: PluginRegistration, services: KernelServices) {
    this.#registration = registration;
    this.#services = services;
  }

  get id(): string {
    return this.#registration.id;
  }

  get clock(): Clock {
    return this.#services.clock;
  }

  get random(): Random {
    return this.#services.random;
  }

  get logger(): Logger {
    this.#logger ??= this.#services.logger.child({ plugin: this.id });
    return this.#logger;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get requires(): HandleRecord {
    this.#requires ??= this.#handles(this.#registration.plugin.manifest.requires, true);
    return this.#requires;
  }

  get uses(): HandleRecord {
    this.#uses ??= this.#handles(this.#registration.plugin.manifest.uses, false);
    return this.#uses;
  }

  /** What the plugin provides; reachable only once the kernel has published it. */
  get providers(): readonly Provider[] {
    return this.#providers ?? nothing;
  }

  provide<T extends Contract>(
    point: ExtensionPoint<T>,
    implementation: T,
    options: { readonly name?: string } = {},
  ): void {
    if (this.#sealed) throw this.#sealedError(`provide '${point.id}'`);
    const name = options.name ?? this.#declaredName(point);
    if (!this.#isDeclared(point, name)) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `plugin '${this.id}' provides '${point.id}' as '${name}', which its manifest does not declare: add it to 'provides'`,
        { reason: "VDC_PROVISION_UNDECLARED", plugin: this.id },
      );
    }
    if (this.providers.some((other) => other.point.id === point.id && other.name === name)) {
      throw new VdcError("FAILED_PRECONDITION", `plugin '${this.id}' provides '${point.id}' as '${name}' twice`, {
        reason: "VDC_PROVISION_TWICE",
        plugin: this.id,
      });
    }
    const services = { ...this.#services, logger: this.logger };
    this.#providers ??= [];
    this.#providers.push(new Provider({ point, name, implementation, plugin: this.id, services }));
  }

  async acquire<R>(
    label: string,
    acquire: (signal: AbortSignal) => R | Promise<R>,
    release: (resource: R) => void | Promise<void>,
  ): Promise<R> {
    if (this.#sealed) throw this.#sealedError(`acquire '${label}'`);
    const resource = await acquire(this.signal);
    if (this.#sealed) {
      const report = await releaseAll([{ label, release: () => release(resource) }], this.#releaseOptions());
      for (const { error } of report.errors) {
        this.logger.warn(`'${label}' came too late and could not be released`, { error: error.message });
      }
      throw this.#sealedError(`acquire '${label}'`);
    }
    this.#own(label, () => release(resource));
    return resource;
  }

  defer(label: string, dispose: () => void | Promise<void>): void {
    if (this.#sealed) throw this.#sealedError(`defer '${label}'`);
    this.#own(label, dispose);
  }

  on<Payload>(event: EventToken<Payload>, listener: (payload: Payload) => void | Promise<void>): void {
    if (this.#sealed) throw this.#sealedError(`listen to '${event.id}'`);
    this.#own(`listener of '${event.id}'`, this.#services.events.on(event, listener, { plugin: this.id }));
  }

  emit<Payload>(event: EventToken<Payload>, payload: Payload): void {
    this.#services.events.emit(event, payload, { plugin: this.id });
  }

  hook<Kind extends HookKind, Input, Output>(
    hook: HookToken<Kind, Input, Output>,
    run: HookFunction<Input, Output>,
    options: HookOptions = {},
  ): void {
    if (this.#sealed) throw this.#sealedError(`hook '${hook.id}'`);
    const aliases = [this.#registration.plugin.manifest.name];
    this.#own(`hook '${hook.id}'`, this.#services.hooks.add(hook, run, { ...options, plugin: this.id, aliases }));
  }

  runHook<Kind extends HookKind, Input, Output>(
    hook: HookToken<Kind, Input, Output>,
    input: Input,
  ): HookResult<Kind, Output> {
    return this.#services.hooks.run(hook, input);
  }

  operation(options: CallOptions = {}): OperationContext {
    const { clock, random } = this.#services;
    return createOperationContext(options, { clock, random, logger: this.logger, signal: this.signal });
  }

  degraded(reason: string | undefined): void {
    this.degradation = reason;
    if (!this.#sealed) this.#services.onDegraded(this, reason);
  }

  /** What the manifest declares and `setup` did not provide, for people. Empty when all is there. */
  missingProvisions(): readonly string[] {
    const { provides } = this.#registration.plugin.manifest;
    if (provides.length === 0) return nothing;
    return provides
      .map(({ point, name }) => ({ point, name: this.#resolveName(name) }))
      .filter(({ point, name }) => !this.providers.some((other) => other.point.id === point.id && other.name === name))
      .map(({ point, name }) => `'${point.id}' as '${name}'`);
  }

  /**
   * Closes the scope, once: the signal aborts, the context is sealed, the calls in flight get their time to end, and everything is
   * released in reverse order, one after the other. Whoever closes it again gets the same report.
   */
  close(reason: VdcError): Promise<ReleaseReport> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  async #close(reason: VdcError): Promise<ReleaseReport> {
    this.#abortReason = reason;
    this.#controller?.abort(reason);
    this.#sealed = true;
    if (this.#providers !== undefined) await this.#endCalls(this.#providers, reason);
    const acquired = this.#acquired ?? nothing;
    this.#acquired = undefined;
    return releaseAll(acquired, this.#releaseOptions());
  }

  async #endCalls(providers: readonly Provider[], reason: VdcError): Promise<void> {
    for (const provider of providers) provider.abort(reason);
    const { drain } = this.#registration.deadlines;
    await Promise.all(providers.map((provider) => provider.drain(drain)));
    const ended = new VdcError("UNAVAILABLE", `plugin '${this.id}' was stopped while the call was in flight`, {
      reason: "VDC_PLUGIN_STOPPED",
      plugin: this.id,
      cause: reason,
    });
    for (const provider of providers) provider.end(ended);
  }

  #releaseOptions(): { readonly plugin: string; readonly clock: Clock; readonly timeoutMs: number } {
    return { plugin: this.id, clock: this.clock, timeoutMs: this.#registration.deadlines.stop };
  }

  #own(label: string, release: () => void | Promise<void>): void {
    this.#acquired ??= [];
    this.#acquired.push({ label, release });
  }

  #sealedError(action: string): VdcError {
    return new VdcError("FAILED_PRECONDITION", `plugin '${this.id}' cannot ${action}: it was stopped`, {
      reason: "VDC_PLUGIN_SEALED",
      plugin: this.id,
    });
  }

  #handles(requirements: Requirements, hard: boolean): HandleRecord {
    const keys = Object.keys(requirements);
    if (keys.length === 0) return noHandles;
    const { providers } = this.#services;
    return Object.fromEntries(
      keys.map((key) => {
        const { point, name, all } = requirements[key] as Requirements[string];
        const token = point as ExtensionPoint<Contract>;
        // A plugin that both provides a point and uses all of it does not see itself.
        if (all) return [key, providers.directory(token, (other) => this.#isDeclared(point, other))];
        const wanted = name === undefined ? undefined : providerName(this.#registration, name);
        const present = wanted === undefined ? providers.names(point.id).length === 1 : providers.get(point.id, wanted);
        return [key, hard || present ? providers.handle(token, wanted) : undefined];
      }),
    );
  }

  #resolveName(name: string | { readonly fromConfig: string } | undefined): string | undefined {
    return name === undefined ? this.id : providerName(this.#registration, name);
  }

  /** The name of a point's only declared provision. */
  #declaredName(point: AnyExtensionPoint): string {
    const declared = this.#registration.plugin.manifest.provides.filter((other) => other.point.id === point.id);
    return this.#resolveName(declared.length === 1 ? declared[0]?.name : undefined) ?? this.id;
  }

  #isDeclared(point: AnyExtensionPoint, name: string): boolean {
    return this.#registration.plugin.manifest.provides.some(
      (other) =>
        other.point.id === point.id && other.point.version === point.version && this.#resolveName(other.name) === name,
    );
  }
}
