import {
  type CallContext,
  cancelSourcesOf,
  createOperationContext,
  deadlineError,
  isCancellable,
  isOperationContext,
} from "../context/create-operation-context.ts";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import { attributeError, toVdcError, VdcError } from "../error/vdc-error.ts";
import type { OperationDefinition } from "../extension-point/operation.ts";
import type { CallServices, Provider } from "./provider.ts";
import { StreamCall } from "./stream-call.ts";

/** What one operation of a handle does now. Handles hold a list of these, which is exchanged when their provider changes. */
export interface Binding {
  invoke(input: unknown, options: CallOptions | OperationContext | undefined): unknown;
}

type Method = (input: unknown, context: OperationContext) => unknown;

/** What a binding is made of. */
export interface BindingOptions {
  readonly provider: Provider;
  /** The object that has the method: the implementation, or one of its facets. `undefined` when it has no such facet. */
  readonly target: object | undefined;
  /** The operation's name, and its facet's, for messages: `snapshots.create`. */
  readonly path: string;
  readonly operation: string;
  readonly definition: OperationDefinition;
}

/** Binds one operation to a provider. */
export function bind(options: BindingOptions): Binding {
  const { provider, target, operation, definition } = options;
  const method = (target as Record<string, Method> | undefined)?.[operation];
  if (typeof method !== "function") {
    return absentBinding(
      definition,
      () =>
        new VdcError("UNIMPLEMENTED", `${provider.describe()} does not implement '${options.path}'`, {
          ...(provider.plugin === undefined ? {} : { plugin: provider.plugin }),
        }),
    );
  }
  return definition.kind === "unary" ? new UnaryBinding(options, method) : new StreamBinding(options, method);
}

/** The binding of an operation that cannot be called now: each call fails with the error. */
export function absentBinding(definition: OperationDefinition, error: () => VdcError): Binding {
  if (definition.kind === "unary") return { invoke: () => Promise.reject(error()) };
  return { invoke: () => new StreamCall({ open: () => Promise.reject(error()) }) };
}

/** The binding of an operation whose provider is just being exchanged: calls wait for the next one, within their own limits. */
export function heldBinding(
  definition: OperationDefinition,
  next: Promise<unknown>,
  retry: () => Binding,
  services: CallServices,
): Binding {
  // One context for the wait and the call behind it, so that a deadline counts from when the caller began.
  const contextFor = (options: CallOptions | OperationContext | undefined): OperationContext | undefined =>
    options === undefined || isOperationContext(options) ? options : createOperationContext(options, services);
  if (definition.kind === "unary") {
    return {
      invoke: async (input, options) => {
        const context = contextFor(options);
        await untilReleased(next, context);
        return retry().invoke(input, context);
      },
    };
  }
  return {
    invoke: (input, options) =>
      new StreamCall({
        open: async () => {
          const context = contextFor(options);
          await untilReleased(next, context);
          return (retry().invoke(input, context) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
        },
      }),
  };
}

function untilReleased(next: Promise<unknown>, context: OperationContext | undefined): Promise<unknown> {
  if (context === undefined || !isCancellable(context)) return next;
  const { signal } = context;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(cancelledError(signal.reason));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    next.then((value) => {
      signal.removeEventListener("abort", onAbort);
      resolve(value);
    });
  });
}

/** The context of a call, and whether it was made for this call alone. */
function contextOf(
  provider: Provider,
  options: CallOptions | OperationContext | undefined,
): { readonly context: OperationContext; readonly own: boolean } {
  if (options === undefined) return { context: provider.context, own: false };
  if (isOperationContext(options)) return { context: options, own: false };
  return { context: createOperationContext(options, { ...provider.services, server: provider }), own: true };
}

/** What both kinds of binding share: checks at the boundary, and who is to blame. */
class Boundary {
  readonly provider: Provider;
  readonly definition: OperationDefinition;
  readonly checksInput: boolean;
  readonly checksOutput: boolean;
  readonly #path: string;

  constructor(options: BindingOptions) {
    const { validation } = options.provider.services;
    this.provider = options.provider;
    this.definition = options.definition;
    this.#path = options.path;
    this.checksInput = validation !== "none";
    this.checksOutput = validation === "full";
  }

  input(input: unknown): unknown {
    if (!this.checksInput) return input;
    const result = this.definition.input.safeParse(input);
    if (result.success) return result.data;
    throw this.#violation("INVALID_ARGUMENT", "VDC_INPUT_INVALID", "input", result.error.issues);
  }

  output(output: unknown): unknown {
    if (!this.checksOutput) return output;
    const result = this.definition.output.safeParse(output);
    if (result.success) return result.data;
    throw this.#violation("INTERNAL", "VDC_OUTPUT_INVALID", "output", result.error.issues);
  }

  attribute(error: unknown): VdcError {
    return attributeError(error, this.provider.plugin);
  }

  #violation(
    code: "INVALID_ARGUMENT" | "INTERNAL",
    reason: string,
    side: string,
    issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
  ): VdcError {
    const { provider } = this;
    const text = issues.map(({ path, message }) => `'${[side, ...path].map(String).join(".")}': ${message}`).join("; ");
    const blame = provider.plugin === undefined ? provider.describe() : `plugin '${provider.plugin}'`;
    return new VdcError(code, `${side} of '${provider.point.id}' operation '${this.#path}' of ${blame}: ${text}`, {
      reason,
      details: {
        point: provider.point.id,
        provider: provider.name,
        ...(provider.plugin === undefined ? {} : { plugin: provider.plugin }),
        operation: this.#path,
        issues: issues.map(({ path, message }) => ({ path: path.map(String), message })),
      },
      // What the provider sent is its fault; what it was sent is not.
      ...(provider.plugin === undefined || side === "input" ? {} : { plugin: provider.plugin }),
    });
  }
}

/**
 * An operation that answers once.
 *
 * The common call (nobody can end it early, nothing is checked) costs one promise beyond the provider's own: the one that counts
 * the call out again and attributes an error. Everything else takes the guarded path.
 */
class UnaryBinding implements Binding {
  readonly #method: Method;
  readonly #target: object;
  readonly #provider: Provider;
  readonly #boundary: Boundary;
  readonly #plain: boolean;
  readonly #succeed: (output: unknown) => unknown;
  readonly #fail: (error: unknown) => never;

  constructor(options: BindingOptions, method: Method) {
    const { provider } = options;
    const boundary = new Boundary(options);
    this.#method = method;
    this.#target = options.target as object;
    this.#provider = provider;
    this.#boundary = boundary;
    this.#plain = !boundary.checksInput && !boundary.checksOutput;
    this.#succeed = (output) => {
      if (--provider.active === 0 && provider.retired) provider.becameIdle();
      return output;
    };
    this.#fail = (error) => {
      if (--provider.active === 0 && provider.retired) provider.becameIdle();
      throw boundary.attribute(error);
    };
  }

  invoke(input: unknown, options: CallOptions | OperationContext | undefined): Promise<unknown> {
    if (this.#plain) {
      if (options === undefined) return this.#call(input, this.#provider.context);
      // A look at one property instead of `instanceof`: contexts of others do not have it, and take the guarded path.
      if ((options as CallContext).cancellable === false) return this.#call(input, options as CallContext);
    }
    return this.#invokeGuarded(input, options);
  }

  /** Calls the provider, counted. A method that throws or answers at once is treated like one that rejects or resolves. */
  #call(input: unknown, context: OperationContext): Promise<unknown> {
    this.#provider.active++;
    let result: unknown;
    try {
      result = this.#method.call(this.#target, input, context);
    } catch (error) {
      result = Promise.reject(error);
    }
    return result instanceof Promise
      ? result.then(this.#succeed, this.#fail)
      : Promise.resolve(result).then(this.#succeed, this.#fail);
  }

  async #invokeGuarded(rawInput: unknown, options: CallOptions | OperationContext | undefined): Promise<unknown> {
    const input = this.#boundary.input(rawInput);
    const { context, own } = contextOf(this.#provider, options);
    const call = isCancellable(context) ? this.#race(input, context) : this.#call(input, context);
    try {
      return this.#boundary.output(await call);
    } finally {
      if (own) (context as CallContext).finish();
    }
  }

  /** Waits for the provider, but no longer than the caller wants to, even when the provider ignores the signal. */
  #race(input: unknown, context: OperationContext): Promise<unknown> {
    const provider = this.#provider;
    return new Promise((resolve, reject) => {
      const ending = new CallEnding(provider, context, (error) => {
        reject(error);
      });
      if (ending.over) return;
      this.#call(input, context)
        .then(resolve, reject)
        .finally(() => ending.release());
    });
  }
}

/** An operation that answers with items. */
class StreamBinding implements Binding {
  readonly #method: Method;
  readonly #target: object;
  readonly #boundary: Boundary;

  constructor(options: BindingOptions, method: Method) {
    this.#method = method;
    this.#target = options.target as object;
    this.#boundary = new Boundary(options);
  }

  invoke(input: unknown, options: CallOptions | OperationContext | undefined): AsyncIterable<unknown> {
    const boundary = this.#boundary;
    const { provider } = boundary;
    let context: OperationContext | undefined;
    let own = false;
    return new StreamCall({
      open: () => {
        const checked = boundary.input(input);
        ({ context, own } = contextOf(provider, options));
        const items = this.#method.call(this.#target, checked, context) as AsyncIterable<unknown>;
        if (typeof items?.[Symbol.asyncIterator] !== "function") {
          throw new VdcError("INTERNAL", `${provider.describe()} did not return a stream`);
        }
        provider.active++;
        return items[Symbol.asyncIterator]();
      },
      guard: (end) => {
        const ending = new CallEnding(provider, context as OperationContext, end);
        const ends = boundary.definition.kind === "watch" ? provider.watches : provider.guards;
        ends.add(end);
        return () => {
          ends.delete(end);
          ending.release();
          if (own) (context as CallContext).finish();
          if (--provider.active === 0 && provider.retired) provider.becameIdle();
        };
      },
      item: (item) => boundary.output(item),
      fail: (error) => boundary.attribute(error),
    });
  }
}

/** Tells once when a call's caller, its deadline, or its provider's end says that it is over. */
class CallEnding {
  over = false;
  readonly #provider: Provider;
  readonly #end: (error: VdcError) => void;
  readonly #sources: readonly AbortSignal[];
  #cancelTimer: (() => void) | undefined;

  constructor(provider: Provider, context: OperationContext, end: (error: VdcError) => void) {
    this.#provider = provider;
    this.#end = end;
    this.#sources = cancelSourcesOf(context);
    const aborted = this.#sources.find((source) => source.aborted);
    if (aborted !== undefined) this.#finish(cancelledError(aborted.reason));
    else this.#begin(context);
  }

  #begin(context: OperationContext): void {
    const provider = this.#provider;
    if (context.deadline !== undefined) {
      const remaining = context.deadline - provider.services.clock.monotonic();
      const expire = (): void => this.#finish(deadlineError(`a call of ${provider.describe()}`));
      if (remaining <= 0) {
        expire();
        return;
      }
      this.#cancelTimer = provider.services.clock.schedule(remaining, expire);
    }
    for (const source of this.#sources) source.addEventListener("abort", this.#onAbort, { once: true });
    provider.guards.add(this.#finish);
  }

  release(): void {
    this.#cancelTimer?.();
    this.#provider.guards.delete(this.#finish);
    for (const source of this.#sources) source.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (event: Event): void => this.#finish(cancelledError((event.target as AbortSignal).reason));

  readonly #finish = (error: VdcError): void => {
    if (this.over) return;
    this.over = true;
    this.release();
    this.#end(error);
  };
}

/** What an aborted signal says: its own reason when that is an error with a code, else `CANCELLED`. */
function cancelledError(reason: unknown): VdcError {
  const error = toVdcError(reason);
  return error.code === "UNKNOWN" ? new VdcError("CANCELLED", "the call was cancelled", { cause: reason }) : error;
}
