import { createOperationContext, isOperationContext } from "../context/create-operation-context.ts";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import { attributeError, VdcError } from "../error/vdc-error.ts";
import type { OperationDefinition } from "../extension-point/operation.ts";
import type { Provider } from "./provider.ts";

/** A method of an implementation. */
export type Method = (input: unknown, context: OperationContext) => unknown;

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

/** What both kinds of binding share: checks at the boundary, and who is to blame. */
export class CallBoundary {
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

/** The context of a call, and whether it was made for this call alone. */
export function contextOf(
  provider: Provider,
  options: CallOptions | OperationContext | undefined,
): { readonly context: OperationContext; readonly own: boolean } {
  if (options === undefined) return { context: provider.context, own: false };
  if (isOperationContext(options)) return { context: options, own: false };
  return { context: createOperationContext(options, { ...provider.services, server: provider }), own: true };
}
