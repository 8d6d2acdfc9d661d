import { type ByteStream, toAbortError } from "./json-rpc-link.ts";
import { RemoteConnection, type RemoteConnectionOptions } from "./remote-connection.ts";

/**
 * Connects to a peer that serves providers, and says hello. The caller may serve providers of its own (`serves`) over the same
 * connection. Rejects with `FAILED_PRECONDITION` for versions that don't go together, and `UNAVAILABLE` when the peer is gone.
 *
 * @example
 * ```ts
 * const connection = await connectProviders(socket);
 * const storage = connection.proxy(storageProvider, "fast");
 * kernel.provide(storageProvider, "fast", storage);
 * ```
 */
export async function connectProviders(
  stream: ByteStream,
  options: RemoteConnectionOptions & { readonly signal?: AbortSignal } = {},
): Promise<RemoteConnection> {
  const connection = new RemoteConnection(stream, options);
  const { signal } = options;
  const onAbort = (): void => connection.link.fail(toAbortError(signal as AbortSignal));
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await connection.greet();
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  return connection;
}
