import type { OperationContext } from "../context/operation-context.ts";
import type { AnyExtensionPoint } from "../extension-point/extension-point.ts";
import { operationTable, type WireOperation } from "./operation-table.ts";

/** Sends the calls of proxies. */
export interface CallSender {
  call(
    operation: WireOperation,
    point: string,
    name: string,
    input: unknown,
    context: OperationContext,
  ): Promise<unknown>;
  stream(
    operation: WireOperation,
    point: string,
    name: string,
    input: unknown,
    context: OperationContext,
  ): AsyncIterable<unknown>;
}

/** A proxy's constructor. `facets` names those to show; `undefined` shows all. */
export type ProxyClass = new (sender: CallSender, name: string, facets: readonly string[] | undefined) => object;

type ProxyMethod = (this: ProxyBase, input: unknown, context: OperationContext) => unknown;

class ProxyBase {
  readonly sender: CallSender;
  readonly providerName: string;

  constructor(sender: CallSender, name: string) {
    this.sender = sender;
    this.providerName = name;
  }
}

const classes = new WeakMap<AnyExtensionPoint, ProxyClass>();

/**
 * The class of a point's proxies, made once for each point: methods on a prototype, so that a call costs no `Proxy` trap. It has the
 * interface that an author implements: `(input, context)`.
 */
export function proxyClassOf(point: AnyExtensionPoint): ProxyClass {
  const known = classes.get(point);
  if (known !== undefined) return known;
  const made = makeClass(point);
  classes.set(point, made);
  return made;
}

function makeClass(point: AnyExtensionPoint): ProxyClass {
  const facetClasses = new Map<string, typeof ProxyBase>();
  for (const facet of Object.keys(point.facets)) {
    const FacetProxy = class extends ProxyBase {};
    facetClasses.set(facet, FacetProxy);
  }
  const PointProxy = class extends ProxyBase {
    readonly facets: Readonly<Record<string, object>>;

    constructor(sender: CallSender, name: string, facets: readonly string[] | undefined) {
      super(sender, name);
      const shown: Record<string, object> = {};
      for (const [facet, FacetProxy] of facetClasses) {
        if (facets === undefined || facets.includes(facet)) shown[facet] = new FacetProxy(sender, name);
      }
      this.facets = shown;
    }
  };
  for (const operation of operationTable(point).values()) {
    const target = operation.facet === undefined ? PointProxy : facetClasses.get(operation.facet);
    Object.defineProperty(target?.prototype, operation.name, {
      value: makeMethod(point.id, operation),
      writable: true,
      configurable: true,
    });
  }
  return PointProxy;
}

function makeMethod(pointId: string, operation: WireOperation): ProxyMethod {
  if (operation.definition.kind === "unary") {
    return function (input, context) {
      return this.sender.call(operation, pointId, this.providerName, input, context);
    };
  }
  return function (input, context) {
    return this.sender.stream(operation, pointId, this.providerName, input, context);
  };
}
