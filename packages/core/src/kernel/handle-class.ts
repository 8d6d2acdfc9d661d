import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import type { Description, Scope } from "../extension-point/description.ts";
import type { AnyExtensionPoint } from "../extension-point/extension-point.ts";
import type { Facet } from "../extension-point/handle.ts";
import type { OperationDefinition } from "../extension-point/operation.ts";
import type { Binding } from "./binding.ts";

/** What a handle refers to, behind it: exchanged when the provider changes, while the handle stays. */
export interface HandleTarget {
  readonly point: AnyExtensionPoint;
  /** The provider's name; for a handle on the only provider there is, that one's. */
  readonly name: string;
  /** The bindings of the mandatory operations, in the order of the token's. */
  bindings: readonly Binding[];
  /** The bindings of a facet's operations. */
  facetBindings(facet: string): readonly Binding[];
  /** Whether the implementation has the facet at all. */
  hasFacet(facet: string): boolean;
}

/** Where an operation's binding is found: in the mandatory operations, or in a facet's. */
interface BindingSource {
  readonly bindings: readonly Binding[];
}

/** The object whose methods are a set of operations. Its class is made once for each set. */
class Operations {
  readonly #source: BindingSource;

  constructor(source: BindingSource) {
    this.#source = source;
  }

  /** Gives a class a method for each operation: a real method on a prototype, not a trap. */
  static define(prototype: object, operations: Readonly<Record<string, OperationDefinition>>): void {
    Object.keys(operations).forEach((name, index) => {
      const value = Operations.#method(index);
      Object.defineProperty(prototype, name, { configurable: true, writable: true, enumerable: false, value });
    });
  }

  /** All operations that stand at one place share one function: a call site that sees the handles of many points sees one target. */
  static #method(index: number): OperationMethod {
    let method = Operations.#methods[index];
    if (method === undefined) {
      method = function (this: Operations, input: unknown, options?: CallOptions | OperationContext) {
        return (this.#source.bindings[index] as Binding).invoke(input, options);
      };
      Operations.#methods[index] = method;
    }
    return method;
  }

  static readonly #methods: OperationMethod[] = [];
}

type OperationMethod = (this: Operations, input: unknown, options?: CallOptions | OperationContext) => unknown;

/** The class of a point's handles, and of its facets' operations. */
interface HandleClasses {
  readonly Handle: new (target: HandleTarget) => object;
  readonly facets: ReadonlyMap<string, new (source: BindingSource) => object>;
}

const classes = new WeakMap<AnyExtensionPoint, HandleClasses>();

/** Makes a handle on a target. */
export function createHandle(target: HandleTarget): object {
  const { Handle } = classesOf(target.point);
  return new Handle(target);
}

function classesOf(point: AnyExtensionPoint): HandleClasses {
  let found = classes.get(point);
  if (found === undefined) {
    found = makeClasses(point);
    classes.set(point, found);
  }
  return found;
}

function makeClasses(point: AnyExtensionPoint): HandleClasses {
  const facets = new Map<string, new (source: BindingSource) => object>();
  for (const [name, operations] of Object.entries(point.facets)) {
    const FacetOperations = class extends Operations {};
    Operations.define(FacetOperations.prototype, operations);
    facets.set(name, FacetOperations);
  }
  const Handle = class extends Operations {
    readonly #target: HandleTarget;
    readonly #facets = new Map<string, object>();

    constructor(target: HandleTarget) {
      super(target);
      this.#target = target;
    }

    get point(): AnyExtensionPoint {
      return this.#target.point;
    }

    get name(): string {
      return this.#target.name;
    }

    async facet(name: string, options: CallOptions & { readonly scope?: Scope } = {}): Promise<Facet<unknown>> {
      const { scope, ...call } = options;
      const describe = (this as unknown as { describe: DescribeCall }).describe.bind(this);
      const description = await describe({ scope: scope ?? {} }, call);
      const availability = description.facets[name];
      if (availability === undefined) {
        return { available: false, reason: `'${this.name}' does not offer facet '${name}'`, evidence: undefined };
      }
      if (availability.status === "unavailable") {
        return { available: false, reason: availability.reason, evidence: availability.evidence };
      }
      if (!this.#target.hasFacet(name)) {
        const reason = `'${this.name}' describes facet '${name}' as available but does not implement it`;
        return { available: false, reason, evidence: availability.evidence };
      }
      return {
        available: true,
        operations: this.#facet(name) as never,
        limits: availability.limits,
        evidence: availability.evidence,
      };
    }

    #facet(name: string): object {
      let operations = this.#facets.get(name);
      if (operations === undefined) {
        const target = this.#target;
        const FacetOperations = facets.get(name) as new (source: BindingSource) => object;
        operations = new FacetOperations({
          get bindings() {
            return target.facetBindings(name);
          },
        });
        this.#facets.set(name, operations);
      }
      return operations;
    }
  };
  Operations.define(Handle.prototype, point.operations);
  return { Handle, facets };
}

type DescribeCall = (input: { readonly scope: Scope }, options: CallOptions) => Promise<Description>;
