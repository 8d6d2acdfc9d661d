import { createOperationContext, isCancellable, isOperationContext } from "../context/create-operation-context.ts";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { OperationDefinition } from "../extension-point/operation.ts";
import type { BindingOptions, Method } from "./call-boundary.ts";
import { cancelledError } from "./call-ending.ts";
import type { CallServices } from "./provider.ts";
import { StreamBinding } from "./stream-binding.ts";
import { StreamCall } from "./stream-call.ts";
import { UnaryBinding } from "./unary-binding.ts";

/** What one operation of a handle does now. Handles hold a list of these, which is exchanged when their provider changes. */
export interface Binding {
  invoke(input: unknown, options: CallOptions | OperationContext | undefined): unknown;
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
