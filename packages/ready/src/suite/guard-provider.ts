import {
  type Contract,
  type ExtensionPoint,
  isVdcError,
  type OperationDefinition,
  universalErrorCodes,
} from "@vdc-os/core";
import { RequirementFailure } from "./must.ts";
import { isOverWithin } from "./patience.ts";

/** Calls that have not ended, by what was called. */
export class OpenCalls {
  readonly #open = new Map<Promise<unknown>, string>();

  add(what: string, call: Promise<unknown>): void {
    this.#open.set(call, what);
    const end = (): void => void this.#open.delete(call);
    call.then(end, end);
  }

  /** Waits until all have ended, and returns what has not when `timeoutMs` is over. For when all of them were cancelled. */
  async end(timeoutMs: number): Promise<readonly string[]> {
    if (this.#open.size === 0) return [];
    await isOverWithin(Promise.allSettled(this.#open.keys()), timeoutMs);
    return [...new Set(this.#open.values())];
  }
}

type Method = (input: unknown, context: unknown) => Promise<unknown> | AsyncIterable<unknown>;

/**
 * An implementation whose every answer is held against the contract: results and items against their schemas, error codes against those
 * that the operation declares. What breaks the contract fails the requirement that called. Each call is noted in `calls` until it ends.
 */
export function guardProvider<T extends Contract>(point: ExtensionPoint<T>, implementation: T, calls: OpenCalls): T {
  const guarded: Record<string, unknown> = guardOperations(point.id, point.operations, implementation, calls);
  const facets = (implementation as { readonly facets?: Record<string, object | undefined> }).facets;
  if (facets !== undefined) {
    guarded.facets = Object.fromEntries(
      Object.entries(point.facets).flatMap(([name, operations]) => {
        const facet = facets[name];
        return facet === undefined ? [] : [[name, guardOperations(`${point.id}.${name}`, operations, facet, calls)]];
      }),
    );
  }
  return guarded as unknown as T;
}

function guardOperations(
  owner: string,
  operations: Readonly<Record<string, OperationDefinition>>,
  target: object,
  calls: OpenCalls,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(operations).map(([name, definition]) => [
      name,
      guardMethod(`${owner} '${name}'`, definition, calls, (input, context) => {
        const method = (target as Readonly<Record<string, Method | undefined>>)[name];
        if (typeof method !== "function") throw new RequirementFailure(`${owner} has no operation '${name}'`);
        return method.call(target, input, context);
      }),
    ]),
  );
}

function guardMethod(what: string, definition: OperationDefinition, calls: OpenCalls, call: Method): Method {
  const noted = <R>(pending: Promise<R>): Promise<R> => {
    calls.add(what, pending);
    return pending;
  };
  const judge = (error: unknown): unknown => {
    if (error instanceof RequirementFailure) return error;
    if (!isVdcError(error))
      return new RequirementFailure(`${what} threw something that is no VdcError: ${String(error)}`);
    if (definition.errors.includes(error.code) || universalErrorCodes.includes(error.code)) return error;
    return new RequirementFailure(
      `${what} failed with ${error.code} (${error.message}), and the contract allows ${[...definition.errors, ...universalErrorCodes].join(", ")}`,
    );
  };
  const checked = (value: unknown): unknown => {
    const result = definition.output.safeParse(value);
    if (result.success) return value;
    const [issue] = result.error.issues;
    throw new RequirementFailure(
      `${what} answered what its schema refuses: ${issue?.path.join(".")}: ${issue?.message}`,
    );
  };
  if (definition.kind === "unary") {
    return async (input, context) => {
      let value: unknown;
      try {
        value = await noted(Promise.resolve(call(input, context)));
      } catch (error) {
        throw judge(error);
      }
      return checked(value);
    };
  }
  return (input, context) => {
    let iterator: AsyncIterator<unknown> | undefined;
    const open = (): AsyncIterator<unknown> => {
      iterator ??= (call(input, context) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
      return iterator;
    };
    const guarded: AsyncIterableIterator<unknown> = {
      [Symbol.asyncIterator]: () => guarded,
      async next() {
        try {
          const item = await noted(Promise.resolve(open().next()));
          return item.done ? item : { done: false, value: checked(item.value) };
        } catch (error) {
          throw judge(error);
        }
      },
      async return() {
        await iterator?.return?.();
        return { done: true, value: undefined };
      },
    };
    return guarded;
  };
}
