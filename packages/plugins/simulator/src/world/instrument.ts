import type { Contract, ExtensionPoint, OperationContext, OperationDefinition } from "@vdc-os/core";
import type { CallSite } from "./call-log.ts";

/** Runs a call: lets its time pass, injects what is to go wrong, logs it. */
export interface CallRunner {
  run<R>(site: CallSite, input: unknown, context: OperationContext, perform: () => Promise<R>): Promise<R>;
}

type Method = (input: unknown, context: OperationContext) => unknown;

/** An implementation whose every call goes through a {@link CallRunner}. */
export function instrument<T extends Contract>(
  runner: CallRunner,
  point: ExtensionPoint<T>,
  name: string,
  implementation: T,
): T {
  const wrap = (operations: Readonly<Record<string, OperationDefinition>>, target: object, prefix: string) =>
    Object.fromEntries(
      Object.entries(operations).map(([operation, definition]) => {
        const method = (target as Readonly<Record<string, Method>>)[operation] as Method;
        const site: CallSite = { point: point.id, name, operation: `${prefix}${operation}` };
        return [
          operation,
          instrumentMethod(runner, site, definition, (input, context) => method.call(target, input, context)),
        ];
      }),
    );
  const facets = Object.entries((implementation as { readonly facets?: Record<string, object> }).facets ?? {});
  return {
    ...wrap(point.operations, implementation, ""),
    facets: Object.fromEntries(
      facets.map(([facet, target]) => [facet, wrap(point.facets[facet] ?? {}, target, `${facet}.`)]),
    ),
  } as unknown as T;
}

function instrumentMethod(
  runner: CallRunner,
  site: CallSite,
  definition: OperationDefinition,
  call: Method,
): (input: unknown, context: OperationContext) => unknown {
  if (definition.kind === "unary") {
    return (input, context) => runner.run(site, input, context, () => call(input, context) as Promise<unknown>);
  }
  return async function* (input, context) {
    // Only the opening of a stream takes time or fails: what it yields comes when it happens in the world.
    const items = await runner.run(site, input, context, async () => call(input, context) as AsyncIterable<unknown>);
    yield* items;
  };
}
