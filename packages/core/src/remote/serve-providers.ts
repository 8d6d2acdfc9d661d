import type { Contract } from "../extension-point/contract.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import type { ProviderSource, ServedProvider } from "./call-server.ts";
import type { ByteStream } from "./json-rpc-link.ts";
import { RemoteConnection, type RemoteConnectionOptions } from "./remote-connection.ts";
import type { ProviderInfo } from "./wire-protocol.ts";

/**
 * Serves providers to whoever is at the other end of a stream, until it closes. Inputs are validated against the contract: the
 * peer is not trusted. Over the same connection this side can use the peer's providers, once the peer has said hello:
 * `await connection.greeted()`.
 */
export function serveProviders(
  stream: ByteStream,
  source: ProviderSource,
  options: Omit<RemoteConnectionOptions, "serves"> = {},
): RemoteConnection {
  return new RemoteConnection(stream, { ...options, serves: source });
}

/** A list of providers to serve, which may change at any time. */
export class ProviderDirectory implements ProviderSource {
  readonly #providers: Map<string, ServedProvider & { readonly name: string }> = new Map();

  /** Adds a provider, or replaces it. Returns what takes it away again. */
  add<T extends Contract>(point: ExtensionPoint<T>, name: string, implementation: T): () => void {
    const key = `${point.id}\n${name}`;
    const entry = { point, name, implementation };
    this.#providers.set(key, entry);
    return () => {
      if (this.#providers.get(key) === entry) this.#providers.delete(key);
    };
  }

  lookup(pointId: string, name: string): ServedProvider | undefined {
    return this.#providers.get(`${pointId}\n${name}`);
  }

  list(): readonly ProviderInfo[] {
    return [...this.#providers.values()].map(({ point, name, implementation }) => ({
      point: point.id,
      version: point.version,
      name,
      facets: facetsOf(implementation),
    }));
  }
}

/** The names of the facets that an implementation has. */
export function facetsOf(implementation: object): readonly string[] {
  const { facets } = implementation as { readonly facets?: object };
  return facets === undefined
    ? []
    : Object.keys(facets).filter((name) => facets[name as keyof typeof facets] !== undefined);
}
