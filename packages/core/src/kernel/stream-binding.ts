import type { CallContext } from "../context/create-operation-context.ts";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { Binding } from "./binding.ts";
import { type BindingOptions, CallBoundary, contextOf, type Method } from "./call-boundary.ts";
import { CallEnding } from "./call-ending.ts";
import { StreamCall } from "./stream-call.ts";

/** An operation that answers with items. */
export class StreamBinding implements Binding {
  readonly #method: Method;
  readonly #target: object;
  readonly #boundary: CallBoundary;

  constructor(options: BindingOptions, method: Method) {
    this.#method = method;
    this.#target = options.target as object;
    this.#boundary = new CallBoundary(options);
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
