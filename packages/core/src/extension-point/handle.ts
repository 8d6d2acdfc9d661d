import type { CallOptions } from "../context/operation-context.ts";
import type { JsonObject } from "../schema/json.ts";
import type { Calls, Contract, FacetName, FacetOf } from "./contract.ts";
import type { Scope } from "./description.ts";
import type { ExtensionPoint } from "./extension-point.ts";

/** A facet as a consumer sees it: its operations, or the reason why they are absent. Narrow on `available`. */
export type Facet<Operations> =
  | {
      readonly available: true;
      readonly operations: Calls<Operations>;
      readonly limits: JsonObject;
      readonly evidence: string;
    }
  | { readonly available: false; readonly reason: string; readonly evidence: string | undefined };

/**
 * A stable handle on a provider. It outlives the provider's instance: when a plugin is replaced, reconfigured or restarted,
 * calls in flight finish on the old instance and later calls reach the new one.
 */
export type Handle<T extends Contract> = Calls<T> & {
  /** The extension point it is a provider of. */
  readonly point: ExtensionPoint<T>;
  /** The provider's name. */
  readonly name: string;
  /**
   * A facet in a scope. Asks the provider's `describe` on each call, so the answer is as fresh as the provider's.
   * Never throws because a facet is absent.
   */
  facet<Name extends FacetName<T>>(
    name: Name,
    options?: CallOptions & { readonly scope?: Scope },
  ): Promise<Facet<FacetOf<T, Name>>>;
};

/** A live directory of a point's providers: those that come and go while the kernel runs (hosts, for one) show in it at once. */
export interface Providers<T extends Contract> {
  /** The handle on a provider. Throws `NOT_FOUND`, and lists the names there are. */
  get(name: string): Handle<T>;
  /** Whether there is a provider of that name now. */
  has(name: string): boolean;
  /** The names there are now, in order. */
  names(): readonly string[];
}
