import type { AnyExtensionPoint, OperationDefinition } from "@vdc-os/core";

/** What crossed an operation once: an input, a result or an item, as the wire carries it. */
export interface Crossing {
  /** The operation, as the wire names it. */
  readonly operation: string;
  readonly side: "input" | "output";
  readonly value: unknown;
}

type Method = (input: unknown, ...rest: readonly unknown[]) => unknown;
type Members = Readonly<Record<string, unknown>>;

/** The same implementation, with what crosses its operations noted: inputs that the contract takes, and whatever comes back. */
export function recordCalls<T extends object>(
  point: AnyExtensionPoint,
  implementation: T,
  note: (crossing: Crossing) => void,
): T {
  const members = implementation as Members;
  const facets = Object.entries((members.facets ?? {}) as Readonly<Record<string, object>>).map(([facet, own]) => [
    facet,
    recordOperations(point.facets[facet] ?? {}, own as Members, `${facet}.`, note),
  ]);
  return {
    ...recordOperations(point.operations, members, "", note),
    ...("facets" in members ? { facets: Object.fromEntries(facets) } : {}),
  } as T;
}

function recordOperations(
  operations: Readonly<Record<string, OperationDefinition>>,
  target: Members,
  prefix: string,
  note: (crossing: Crossing) => void,
): Members {
  const methods = Object.entries(operations).map(([name, { kind, input: schema }]): [string, Method] => {
    const operation = `${prefix}${name}`;
    const out = (value: unknown): void => note({ operation, side: "output", value: asWire(value) });
    const call: Method = (input, ...rest) => {
      if (schema.safeParse(input).success) note({ operation, side: "input", value: asWire(input) });
      return (target[name] as Method).call(target, input, ...rest);
    };
    if (kind === "unary") {
      return [
        name,
        async (...given) => {
          const result = await call(...given);
          out(result);
          return result;
        },
      ];
    }
    return [
      name,
      async function* (...given) {
        for await (const item of call(...given) as AsyncIterable<unknown>) {
          out(item);
          yield item;
        }
      },
    ];
  });
  return Object.fromEntries(methods);
}

/** JSON has no `undefined`: a member that is undefined is left out, and a result that is nothing is null. */
function asWire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null));
}
