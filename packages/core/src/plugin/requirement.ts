import type { Contract } from "../extension-point/contract.ts";
import type { AnyExtensionPoint, ContractOf, ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Handle, Providers } from "../extension-point/handle.ts";
import type { ProviderName, Provision, Requirement, Requirements } from "./manifest.ts";

/** Names a provider by a string of the plugin's config. */
export function fromConfig(key: string): ProviderName {
  return { fromConfig: key };
}

/** Declares that a plugin provides a point, under a name. */
export function provides<P extends AnyExtensionPoint>(
  point: P,
  options: { readonly name?: ProviderName } = {},
): Provision<P> {
  return { point, ...options };
}

/** Requires one provider of a point: the named one, or the only one there is. */
export function one<T>(
  point: ExtensionPoint<T>,
  options: { readonly name?: ProviderName } = {},
): Requirement<ExtensionPoint<T>, false> {
  return { point, all: false, ...options };
}

/** Requires all providers of a point, as a live directory: providers that come and go later (hosts, for one) show in it. An empty one satisfies it. */
export function all<T>(point: ExtensionPoint<T>): Requirement<ExtensionPoint<T>, true> {
  return { point, all: true };
}

/** The handle on a point's provider. */
export type HandleOf<P> = ContractOf<P> extends infer T extends Contract ? Handle<T> : never;

/** The live directory of a point's providers. */
export type ProvidersOf<P> = ContractOf<P> extends infer T extends Contract ? Providers<T> : never;

/** What `setup` gets for each requirement: a handle, or the directory of all. */
export type Required<R extends Requirements> = {
  readonly [K in keyof R]: R[K] extends Requirement<infer P, infer Many>
    ? Many extends true
      ? ProvidersOf<P>
      : HandleOf<P>
    : never;
};

/** What `setup` gets for each optional use: `undefined` when it is not there. */
export type Used<R extends Requirements> = {
  readonly [K in keyof R]: R[K] extends Requirement<infer P, infer Many>
    ? Many extends true
      ? ProvidersOf<P>
      : HandleOf<P> | undefined
    : never;
};
