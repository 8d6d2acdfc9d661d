import type { Context as TraceContext } from "@opentelemetry/api";
import { VdcError } from "../error/vdc-error.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type Logger, silentLogger } from "./logger.ts";
import type { CallOptions, OperationContext, Progress, Random } from "./operation-context.ts";
import { systemRandom } from "./random.ts";

/** What surrounds a call: where it runs, and what else may end it. */
export interface OperationEnvironment {
  /** Defaults to the parent's, or {@link silentLogger}. */
  readonly logger?: Logger | undefined;
  /** Defaults to the parent's, or {@link systemClock}. */
  readonly clock?: Clock | undefined;
  /** Defaults to the parent's, or {@link systemRandom}. */
  readonly random?: Random | undefined;
  /** Aborts the call as well, beside the caller's own signal: a plugin's, or a connection's. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Who serves the call. Its signal joins the context's, but is read only when somebody looks at that: it is for the provider to
   * heed, and does not make the caller stop waiting.
   */
  readonly server?: { readonly signal: AbortSignal } | undefined;
  /** A call that this one is made on behalf of: its signal, deadline, tenant and trace hold here too. */
  readonly parent?: OperationContext | undefined;
}

/** A signal that never aborts, shared by all calls that nobody can end. Nothing is ever added to it: see {@link isCancellable}. */
const neverAborts = new AbortController().signal;

/** The kernel's operation context. Other modules see {@link OperationContext}; the boundary looks inside. */
export class CallContext implements OperationContext {
  /** Whether anything but the server can end this call early. */
  readonly cancellable: boolean;
  readonly deadline: number | undefined;
  readonly idempotencyKey: string | undefined;
  readonly tenant: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: TraceContext | undefined;
  readonly #onProgress: ((update: Progress) => void) | undefined;
  readonly #callerSignal: AbortSignal | undefined;
  readonly #environmentSignal: AbortSignal | undefined;
  readonly #server: { readonly signal: AbortSignal } | undefined;
  readonly #parent: OperationContext | undefined;
  #cancelDeadline: (() => void) | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: CallOptions, environment: OperationEnvironment) {
    const { parent } = environment;
    this.clock = environment.clock ?? parent?.clock ?? systemClock;
    this.logger = environment.logger ?? parent?.logger ?? silentLogger;
    this.random = environment.random ?? parent?.random ?? systemRandom;
    this.idempotencyKey = options.idempotencyKey;
    this.tenant = options.tenant ?? parent?.tenant ?? "default";
    this.trace = options.trace ?? parent?.trace;
    this.#onProgress = options.onProgress;
    this.#callerSignal = options.signal;
    this.#environmentSignal = environment.signal;
    this.#server = environment.server;
    this.#parent = parent;
    let deadline = parent?.deadline;
    if (options.timeoutMs !== undefined) {
      const own = this.clock.monotonic() + options.timeoutMs;
      deadline = deadline === undefined || own < deadline ? own : deadline;
    }
    this.deadline = deadline;
    this.cancellable =
      deadline !== undefined ||
      this.#callerSignal !== undefined ||
      this.#environmentSignal !== undefined ||
      (parent !== undefined && isCancellable(parent));
  }

  /** Made when it is first asked for: most operations never look, and a combined signal costs microseconds. */
  get signal(): AbortSignal {
    this.#signal ??= this.#makeSignal();
    return this.#signal;
  }

  progress(update: Progress): void {
    try {
      this.#onProgress?.(update);
    } catch (error) {
      this.logger.warn("a progress listener threw", { error: String(error) });
    }
  }

  /** The signals that end the call for the caller, as they came in; the deadline is not among them. */
  cancelSources(): readonly AbortSignal[] {
    const sources: AbortSignal[] = [];
    if (this.#callerSignal !== undefined) sources.push(this.#callerSignal);
    if (this.#environmentSignal !== undefined) sources.push(this.#environmentSignal);
    if (this.#parent !== undefined) sources.push(...cancelSourcesOf(this.#parent));
    return sources;
  }

  /** Says that the call has ended: a deadline's timer is no longer needed. */
  finish(): void {
    this.#cancelDeadline?.();
  }

  #makeSignal(): AbortSignal {
    const sources = [...this.cancelSources()];
    if (this.#server !== undefined) sources.push(this.#server.signal);
    if (this.deadline !== undefined) sources.push(this.#deadlineSignal());
    if (sources.length === 0) return neverAborts;
    return sources.length === 1 ? (sources[0] as AbortSignal) : AbortSignal.any(sources);
  }

  #deadlineSignal(): AbortSignal {
    const controller = new AbortController();
    const remaining = (this.deadline as number) - this.clock.monotonic();
    const expire = (): void => controller.abort(deadlineError());
    if (remaining <= 0) {
      expire();
    } else if (this.clock === systemClock) {
      // Unreferenced: a deadline alone must not keep a process alive.
      const timer = setTimeout(expire, Math.min(remaining, 0x7fff_ffff)).unref();
      this.#cancelDeadline = () => clearTimeout(timer);
    } else {
      this.#cancelDeadline = this.clock.schedule(remaining, expire);
    }
    return controller.signal;
  }
}

/** The error of a call whose deadline passed. */
export function deadlineError(what = "the call"): VdcError {
  return new VdcError("DEADLINE_EXCEEDED", `${what} did not finish before its deadline`);
}

/**
 * Makes the context of one call from what the caller says and where it runs.
 *
 * It costs one object: the signal, and the deadline's timer, exist only once somebody reads `signal`.
 *
 * @example
 * ```ts
 * const context = createOperationContext({ timeoutMs: 5_000 }, { logger });
 * await provider.get({ name: "disk-1" }, context);
 * ```
 */
export function createOperationContext(
  options: CallOptions = {},
  environment: OperationEnvironment = {},
): OperationContext {
  return new CallContext(options, environment);
}

/** Whether a caller passed a context on, rather than options for a new one. */
export function isOperationContext(value: CallOptions | OperationContext): value is OperationContext {
  return value instanceof CallContext || typeof (value as OperationContext).progress === "function";
}

/** Whether anything can end this call early: its caller, a deadline, the process around it. Answers without making the signal. */
export function isCancellable(context: OperationContext): boolean {
  if (context instanceof CallContext) return context.cancellable;
  return context.deadline !== undefined || context.signal !== neverAborts;
}

/** The signals that end a call for its caller, without making one; the deadline is not among them. */
export function cancelSourcesOf(context: OperationContext): readonly AbortSignal[] {
  if (context instanceof CallContext) return context.cancelSources();
  return context.signal === neverAborts ? [] : [context.signal];
}
