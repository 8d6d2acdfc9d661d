import { duplexPair } from "node:stream";
import type { Contract } from "../extension-point/contract.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import { connectProviders } from "./connect-providers.ts";
import type { RemoteConnectionOptions } from "./remote-connection.ts";
import { ProviderDirectory, serveProviders } from "./serve-providers.ts";

/** An implementation that is reached through the wire. */
export interface PipedProvider<T> extends AsyncDisposable {
  /** The proxy: the same interface. */
  readonly implementation: T;
  close(): Promise<void>;
}

/**
 * Puts the whole transport between a caller and an implementation, within this process: what works through it works in a child process
 * and on another host. For certification suites, which pass direct and over the pipe, and for benchmarks.
 */
export async function overPipe<T extends Contract>(
  point: ExtensionPoint<T>,
  implementation: T,
  options: RemoteConnectionOptions & { readonly name?: string } = {},
): Promise<PipedProvider<T>> {
  const name = options.name ?? "piped";
  const [near, far] = duplexPair();
  const providers = new ProviderDirectory();
  providers.add(point, name, implementation);
  const server = serveProviders(far, providers, options);
  const client = await connectProviders(near, options);
  const close = async (): Promise<void> => {
    await client.close();
    await server.close();
  };
  return { implementation: client.proxy(point, name), close, [Symbol.asyncDispose]: close };
}
