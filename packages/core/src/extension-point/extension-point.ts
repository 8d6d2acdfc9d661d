import type { Contract, FacetOperationsOf, OperationsOf } from "./contract.ts";
import type { OperationDefinition } from "./operation.ts";

/** How many providers a point takes: one, or many told apart by name. */
export type Cardinality = "one" | "many";

const brand: unique symbol = Symbol.for("vdc-os.extension-point") as never;

/** The version of the token's own shape, so that two copies of core can tell each other apart. */
export const extensionPointFormat = 1;

/** Names that operations cannot have, because a handle has them. `then` would make a handle look like a promise. */
const reservedNames: ReadonlySet<string> = new Set(["constructor", "facet", "facets", "name", "point", "then"]);

/** An extension point whose contract is not known to the type system: what the kernel works with. */
export interface AnyExtensionPoint {
  /** Dotted, lower case: `vdc.storage`. */
  readonly id: string;
  /** The contract's version, `major.minor`. See `isContractCompatible` for what goes with what. */
  readonly version: string;
  readonly cardinality: Cardinality;
  /** One sentence: what it is for. */
  readonly summary: string;
  /** The mandatory operations, by name. */
  readonly operations: Readonly<Record<string, OperationDefinition>>;
  /** The operations of each facet, by facet and name. */
  readonly facets: Readonly<Record<string, Readonly<Record<string, OperationDefinition>>>>;
  readonly [brand]: number;
}

/**
 * An extension point: a value token that carries its contract's type.
 *
 * The token is the single source: the author's types, the boundary's validation, the out-of-process proxy, the JSON Schema for
 * authors in other languages, the certification kit's gating and the reference docs all come from it.
 */
export interface ExtensionPoint<T> extends AnyExtensionPoint {
  /** Never present at run time. Makes the token invariant in its contract. */
  readonly "~contract"?: (contract: T) => T;
}

/** Options of {@link defineExtensionPoint}. */
export interface ExtensionPointOptions<T> {
  readonly id: string;
  readonly version: string;
  /** Defaults to `many`. */
  readonly cardinality?: Cardinality;
  readonly summary: string;
  readonly operations: OperationsOf<T>;
  readonly facets: FacetOperationsOf<T>;
}

/**
 * Defines an extension point for the contract `T`. Anyone may define one: third parties use the same call as VDC-OS.
 *
 * @example
 * ```ts
 * const greeter = defineExtensionPoint<Greeter>()({
 *   id: "example.greeter",
 *   version: "1.0",
 *   summary: "Greets people.",
 *   operations: { describe: describeOperation, greet: unary({ ... }) },
 *   facets: {},
 * });
 * ```
 */
export function defineExtensionPoint<T extends Contract>(): (options: ExtensionPointOptions<T>) => ExtensionPoint<T> {
  return (options) => {
    if (!/^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$/.test(options.id)) {
      throw new TypeError(`extension point id '${options.id}' must be dotted lower case, such as 'acme.backup'`);
    }
    if (!/^\d+\.\d+$/.test(options.version)) {
      throw new TypeError(`extension point '${options.id}' has version '${options.version}': it must be 'major.minor'`);
    }
    for (const name of Object.keys(options.operations)) {
      if (reservedNames.has(name)) {
        throw new TypeError(
          `extension point '${options.id}' has an operation '${name}': handles use that name themselves`,
        );
      }
    }
    return Object.freeze({
      id: options.id,
      version: options.version,
      cardinality: options.cardinality ?? "many",
      summary: options.summary,
      operations: Object.freeze({ ...options.operations }) as AnyExtensionPoint["operations"],
      facets: Object.freeze({ ...options.facets }) as AnyExtensionPoint["facets"],
      [brand]: extensionPointFormat,
    });
  };
}

/** The format version of a value that looks like an extension point, of this copy of core or another; `undefined` for anything else. */
export function extensionPointFormatOf(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || !(brand in value)) return undefined;
  return (value as AnyExtensionPoint)[brand];
}

/** The contract that a token carries. */
export type ContractOf<P> = P extends ExtensionPoint<infer T> ? T : never;
