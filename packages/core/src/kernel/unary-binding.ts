import { type CallContext, isCancellable } from "../context/create-operation-context.ts";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import type { Binding } from "./binding.ts";
import { type BindingOptions, CallBoundary, contextOf, type Method } from "./call-boundary.ts";
import { CallEnding } from "./call-ending.ts";
import type { Provider } from "./provider.ts";

/**
 * An operation that answers once.
 *
 * The common call (nobody can end it early, nothing is checked) costs one promise beyond the provider's own: the one that counts
 * the call out again and attributes an error. Everything else takes the guarded path.
 */
export class UnaryBinding implements Binding {
  readonly #method: Method;
  readonly #target: object;
  readonly #provider: Provider;
  readonly #boundary: CallBoundary;
  readonly #plain: boolean;
  readonly #succeed: (output: unknown) => unknown;
  readonly #fail: (error: unknown) => never;

  constructor(options: BindingOptions, method: Method) {
    const { provider } = options;
    const boundary = new CallBoundary(options);
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
