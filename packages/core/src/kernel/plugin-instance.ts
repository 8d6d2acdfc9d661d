import { isVdcError, VdcError } from "../error/vdc-error.ts";
import type { PluginState } from "../plugin/plugin-state.ts";
import type { KernelServices } from "./kernel-services.ts";
import type { PlannedPlugin } from "./plan.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import type { PluginScope } from "./plugin-scope.ts";
import type { ReleaseReport } from "./release.ts";

/** Hears of each transition. */
export type TransitionListener = (instance: PluginInstance, from: PluginState) => void;

const nothing: readonly never[] = Object.freeze([]);

/** A plugin in a kernel: what is registered, where it is in its life, and what it owns while it runs. */
export class PluginInstance {
  registration: PluginRegistration;
  state: PluginState = "registered";
  /** Why it is in this state, for people. */
  reason = "registered";
  /** What a `blocked` plugin waits for. */
  waitsFor: readonly string[] = nothing;
  /** Why it failed. */
  cause: VdcError | undefined;
  /** Its edges in the plan, once there is one. */
  planned: PlannedPlugin | undefined;
  /** What it owns, while it runs. */
  scope: PluginScope | undefined;
  configMs = 0;
  startMs = 0;
  /** How the release of a failed start went. */
  release: ReleaseReport | undefined;
  /** Serialises what is asked of it: replace, reconfigure, retry. */
  busy: Promise<unknown> = Promise.resolve();
  readonly #onTransition: TransitionListener;

  constructor(registration: PluginRegistration, onTransition: TransitionListener) {
    this.registration = registration;
    this.#onTransition = onTransition;
  }

  get id(): string {
    return this.registration.id;
  }

  /** Whether its providers can be called. */
  get running(): boolean {
    return this.state === "ready" || this.state === "degraded";
  }

  moveTo(state: PluginState, reason: string, waitsFor: readonly string[] = nothing): void {
    const from = this.state;
    this.state = state;
    this.reason = reason;
    this.waitsFor = waitsFor;
    this.#onTransition(this, from);
  }

  fail(cause: VdcError): void {
    this.cause = cause;
    this.moveTo("failed", cause.message);
  }
}

/** What is said of a plugin that ran out of one of its deadlines. */
export function phaseTimeout(id: string, phase: "config" | "start", timeoutMs: number): VdcError {
  const what = phase === "config" ? "config check" : "setup";
  return new VdcError("DEADLINE_EXCEEDED", `the ${what} of plugin '${id}' did not finish within ${timeoutMs} ms`, {
    reason: phase === "config" ? "VDC_PLUGIN_CONFIG_TIMEOUT" : "VDC_PLUGIN_START_TIMEOUT",
    plugin: id,
  });
}

/** The error of a plugin that was told to stop while it started. */
export function startCancelled(id: string, cause: unknown): VdcError {
  if (isVdcError(cause)) return cause;
  return new VdcError("CANCELLED", `the start of plugin '${id}' was cancelled`, { plugin: id, cause });
}

/** Makes providers reachable. */
export function publish(scope: PluginScope, services: KernelServices): void {
  for (const provider of scope.providers) services.providers.add(provider);
}

/** Takes them away again: later calls are refused. */
export function withdraw(scope: PluginScope, services: KernelServices): void {
  for (const provider of scope.providers) services.providers.remove(provider);
}
