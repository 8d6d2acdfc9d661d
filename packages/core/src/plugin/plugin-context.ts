import type { Clock } from "../context/clock.ts";
import type { Logger } from "../context/logger.ts";
import type { CallOptions, OperationContext, Random } from "../context/operation-context.ts";
import type { EventToken } from "../event/event-token.ts";
import type { HookFunction, HookKind, HookResult, HookToken } from "../event/hook-token.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";

/** Options of {@link PluginContext.hook}. */
export interface HookOptions {
  /** Runs before what these plugins hooked (instance ids or package names). */
  readonly before?: readonly string[];
  /** Runs after what these plugins hooked. */
  readonly after?: readonly string[];
}

/**
 * A plugin's only way to the world: everything that it registers or acquires goes through here, with a label.
 *
 * When the plugin stops, or when its `setup` fails half-way, {@link PluginContext.signal} aborts first; then the context is sealed,
 * and a late registration is refused with `FAILED_PRECONDITION`; then everything is released in reverse order, one after the other.
 */
export interface PluginContext<Requires = unknown, Uses = unknown> {
  /** The instance's id: the package name unless it was registered under another. */
  readonly id: string;
  /** Handles on what the manifest requires. */
  readonly requires: Requires;
  /** Handles on what the manifest uses. */
  readonly uses: Uses;
  /** Aborts when the plugin is asked to stop. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;

  /**
   * Provides a point that the manifest declares. Callers reach it from the moment that `setup` has finished.
   * Throws `FAILED_PRECONDITION` for a point that is not declared, or is provided twice under one name.
   */
  provide<T extends Contract>(point: ExtensionPoint<T>, implementation: T, options?: { readonly name?: string }): void;

  /**
   * Acquires something that must be released. If the plugin was stopped while `acquire` ran, what it returned is released at once
   * and the call rejects.
   */
  acquire<R>(
    label: string,
    acquire: (signal: AbortSignal) => R | Promise<R>,
    release: (resource: R) => void | Promise<void>,
  ): Promise<R>;

  /** Registers something to run when the plugin stops. */
  defer(label: string, dispose: () => void | Promise<void>): void;

  /** Listens to an event until the plugin stops. A listener that throws is reported under this plugin's name, and harms nobody. */
  on<Payload>(event: EventToken<Payload>, listener: (payload: Payload) => void | Promise<void>): void;

  /** Emits an event. */
  emit<Payload>(event: EventToken<Payload>, payload: Payload): void;

  /** Hooks a function until the plugin stops. */
  hook<Kind extends HookKind, Input, Output>(
    hook: HookToken<Kind, Input, Output>,
    run: HookFunction<Input, Output>,
    options?: HookOptions,
  ): void;

  /** Runs what others hooked to a hook of this plugin's. */
  runHook<Kind extends HookKind, Input, Output>(
    hook: HookToken<Kind, Input, Output>,
    input: Input,
  ): HookResult<Kind, Output>;

  /** A context for calls that the plugin makes of its own accord, bound to its signal. */
  operation(options?: CallOptions): OperationContext;

  /** Says that the plugin works, but not wholly, and why. `undefined` says that it is well again. */
  degraded(reason: string | undefined): void;
}
