import { duplexPair } from "node:stream";
import type { Contract, ExtensionPoint } from "@vdc-os/core";
import { connectProviders, ProviderDirectory, serveProviders } from "@vdc-os/core/remote";
import type { OpenTransport } from "./transport.ts";

/** Serves an implementation over an in-memory stream, and connects to it, as a plugin in a process of its own is reached. */
export async function openPipe<T extends Contract>(
  point: ExtensionPoint<T>,
  implementation: T,
): Promise<OpenTransport<T>> {
  const [near, far] = duplexPair();
  const directory = new ProviderDirectory();
  directory.add(point, "subject", implementation);
  const server = serveProviders(far, directory);
  const client = await connectProviders(near);
  return {
    provider: client.proxy(point, "subject"),
    close: async () => {
      await client.close();
      await server.close();
    },
  };
}
