import type { OperationContext } from "../context/operation-context.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { Description, Scope } from "../extension-point/description.ts";
import type { AnyExtensionPoint, ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Facet, Handle, Providers } from "../extension-point/handle.ts";
import type { ProviderSource, ServedProvider } from "./call-server.ts";
import { operationTable, type WireOperation } from "./operation-table.ts";
import type { ProviderInfo } from "./wire-protocol.ts";

/** What {@link KernelProviders} needs of a kernel. */
export interface ProviderLookup {
  all<T extends Contract>(point: ExtensionPoint<T>): Providers<T>;
}

/** Serves the providers that a kernel has of some points, as of each call: through their handles, so that everything a kernel does for a call holds. */
export class KernelProviders implements ProviderSource {
  readonly #kernel: ProviderLookup;
  readonly #points: ReadonlyMap<string, AnyExtensionPoint>;
  readonly #served: Map<string, ServedProvider> = new Map();

  constructor(kernel: ProviderLookup, points: Iterable<AnyExtensionPoint>) {
    this.#kernel = kernel;
    this.#points = new Map([...points].map((point) => [point.id, point]));
  }

  lookup(pointId: string, name: string): ServedProvider | undefined {
    const point = this.#points.get(pointId);
    if (point === undefined) return undefined;
    const providers = this.#kernel.all(point as ExtensionPoint<Contract>);
    if (!providers.has(name)) return undefined;
    // A handle is stable, so that what is made of it is too.
    const key = `${pointId}\n${name}`;
    let served = this.#served.get(key);
    if (served === undefined) {
      served = { point, implementation: implementByHandle(point, providers.get(name)) };
      this.#served.set(key, served);
    }
    return served;
  }

  list(): readonly ProviderInfo[] {
    return [...this.#points.values()].flatMap((point) =>
      this.#kernel
        .all(point as ExtensionPoint<Contract>)
        .names()
        .map((name) => ({ point: point.id, version: point.version, name, facets: Object.keys(point.facets) })),
    );
  }
}

type AnyCall = (input: unknown, context: OperationContext) => unknown;

/**
 * Turns a handle into what an author implements, so that it can be served. Which facets are there is the provider's `describe` to say, for
 * the scope that the peer asked about.
 */
export function implementByHandle(point: AnyExtensionPoint, handle: Handle<Contract>): object {
  const calls = handle as unknown as Readonly<Record<string, AnyCall>>;
  const facets: Record<string, Record<string, AnyCall>> = {};
  const implementation: Record<string, unknown> = { facets };
  /** A scope in which each facet was said to be available. */
  const scopes = new Map<string, Scope>();
  for (const operation of operationTable(point).values()) {
    const { facet, name } = operation;
    if (facet === undefined) {
      implementation[name] = (input: unknown, context: OperationContext) => calls[name]?.(input, context);
    } else {
      facets[facet] ??= {};
      facets[facet][name] = facetCall(handle, operation, facet, scopes);
    }
  }
  implementation.describe = async (input: { readonly scope: Scope }, context: OperationContext) => {
    const description = (await calls.describe?.(input, context)) as Description;
    for (const [facet, availability] of Object.entries(description.facets)) {
      if (availability.status === "available") scopes.set(facet, input.scope);
    }
    return description;
  };
  return implementation;
}

function facetCall(
  handle: Handle<Contract>,
  operation: WireOperation,
  facet: string,
  scopes: ReadonlyMap<string, Scope>,
): AnyCall {
  let found: AnyCall | undefined;
  const find = async (context: OperationContext): Promise<AnyCall> => {
    if (found === undefined) {
      const ask = handle.facet as (name: string, options: object) => Promise<Facet<Record<string, never>>>;
      const answer = await ask.call(handle, facet, { scope: scopes.get(facet) ?? {}, signal: context.signal });
      if (!answer.available) {
        throw new VdcError("UNIMPLEMENTED", answer.reason, { reason: "VDC_FACET_UNAVAILABLE" });
      }
      const operations = answer.operations as unknown as Readonly<Record<string, AnyCall>>;
      found = (operations[operation.name] as AnyCall).bind(operations);
    }
    return found;
  };
  if (operation.definition.kind === "unary") return async (input, context) => (await find(context))(input, context);
  return async function* (input, context) {
    yield* (await find(context))(input, context) as AsyncIterable<unknown>;
  };
}
