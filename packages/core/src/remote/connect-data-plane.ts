import type { Json } from "../schema/json.ts";
import { JsonRpcLink, type LinkLimits } from "./json-rpc-link.ts";
import { connectUnix } from "./unix-server.ts";

/** A connection to a data plane's control socket. */
export interface DataPlaneConnection extends AsyncDisposable {
  /** Calls a method. Rejects with what the method threw, or `UNAVAILABLE` when the connection is lost. */
  request(method: string, params: Json, options?: { readonly signal?: AbortSignal | undefined }): Promise<Json>;
  /** Whether it answers. Rejects with `DEADLINE_EXCEEDED` when it does not in time. */
  ping(options: { readonly timeoutMs: number }): Promise<void>;
  /** Resolves when the connection is over. */
  readonly closed: Promise<unknown>;
  close(): Promise<void>;
}

/** Connects to a data plane's control socket. Rejects with `UNAVAILABLE` when nobody listens there. */
export async function connectDataPlane(
  controlSocket: string,
  options: LinkLimits & { readonly signal?: AbortSignal | undefined } = {},
): Promise<DataPlaneConnection> {
  const link = new JsonRpcLink(await connectUnix(controlSocket, options), options);
  const close = (): Promise<void> => link.close();
  return {
    request: async (method, params, { signal } = {}) => (await link.request(method, [params], signal)) as Json,
    ping: (ping) => link.ping(ping),
    closed: link.closed,
    close,
    [Symbol.asyncDispose]: close,
  };
}
