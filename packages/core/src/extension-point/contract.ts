import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import type { DescribeInput, Description } from "./description.ts";
import type { OperationMethod, OperationOf } from "./operation.ts";

/** What every contract has: `describe`, and perhaps facets. The rest are its mandatory operations. */
export interface Contract {
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  readonly facets?: object;
}

/** Names of a contract's mandatory operations. */
export type CoreOperationName<T> = Exclude<keyof T, "facets"> & string;

/** The facets of a contract, by name. */
export type FacetsOf<T> = T extends { readonly facets?: infer F } ? NonNullable<F> : Record<never, never>;

/** Names of a contract's facets. */
export type FacetName<T> = keyof FacetsOf<T> & string;

/** The operations that one facet has. */
export type FacetOf<T, Name extends FacetName<T>> = NonNullable<FacetsOf<T>[Name]>;

/** The operation definitions that a set of methods must have. */
export type OperationsOf<T> = {
  readonly [K in CoreOperationName<T>]-?: OperationOf<T[K]>;
};

/** The operation definitions of every facet. */
export type FacetOperationsOf<T> = {
  readonly [Name in FacetName<T>]-?: OperationsOf<FacetOf<T, Name>>;
};

/** A method as a consumer calls it: with call options, or the context of the call that it is made on behalf of, or nothing. */
export type Call<Method> = Method extends (input: infer Input, context: OperationContext) => infer Result
  ? (input: Input, options?: CallOptions | OperationContext) => Result
  : never;

/** A set of operations as a consumer calls them. */
export type Calls<T> = {
  readonly [K in CoreOperationName<T>]: T[K] extends OperationMethod ? Call<T[K]> : never;
};
