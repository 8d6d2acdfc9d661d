import type { Contract } from "./contract.ts";
import type { AnyExtensionPoint, ExtensionPoint } from "./extension-point.ts";
import { isContractCompatible } from "./is-contract-compatible.ts";

/** Lets providers of one major of a contract serve consumers of another. */
export interface ContractAdapter {
  readonly from: AnyExtensionPoint;
  readonly to: AnyExtensionPoint;
  /** Wraps an implementation of `from` as one of `to`. Called once for each provider. */
  adapt(implementation: Contract): Contract;
}

/** Options of {@link contractAdapter}. */
export interface ContractAdapterOptions<From extends Contract, To extends Contract> {
  /** The version that the provider implements. */
  readonly from: ExtensionPoint<From>;
  /** The version that the consumer was built against. */
  readonly to: ExtensionPoint<To>;
  /** Wraps an implementation of `from` as one of `to`. Called once for each provider. */
  readonly adapt: (implementation: From) => To;
}

/**
 * Defines an adapter between two majors of one contract: with it the kernel serves N and N-1, so that one contract's break
 * forces nobody else. Both directions are adapters of their own.
 */
export function contractAdapter<From extends Contract, To extends Contract>(
  options: ContractAdapterOptions<From, To>,
): ContractAdapter {
  const { from, to } = options;
  if (from.id !== to.id) {
    throw new TypeError(`an adapter joins two versions of one point, not '${from.id}' and '${to.id}'`);
  }
  return { from, to, adapt: (implementation) => options.adapt(implementation as From) };
}

/** The adapter that lets a provider of version `offered` serve a consumer of version `required`. `undefined` when there is none. */
export function findAdapter(
  adapters: readonly ContractAdapter[],
  point: string,
  required: string,
  offered: string,
): ContractAdapter | undefined {
  return adapters.find(
    ({ from, to }) =>
      from.id === point && isContractCompatible(from.version, offered) && isContractCompatible(required, to.version),
  );
}
