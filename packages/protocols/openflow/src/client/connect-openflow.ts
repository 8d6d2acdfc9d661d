import { OpenFlowClient, type OpenFlowClientOptions } from "./openflow-client.ts";
import { openStream, type TlsSettings } from "./open-stream.ts";

/** Options of {@link connectOpenFlow}. `name` defaults to the remote. */
export interface ConnectOpenFlowOptions extends OpenFlowClientOptions {
  /** `unix:<path>`, `tcp:<host>[:<port>]` or `ssl:<host>[:<port>]`, where a bridge listens. Open vSwitch's listen at `unix:<run directory>/<bridge>.mgmt`. */
  readonly remote: string;
  readonly tls?: TlsSettings;
}

/**
 * Connects to a bridge and says hello. `timeoutMs` is for the connection and for the hello, each.
 *
 * @throws `OPENFLOW_CONNECT_FAILED`, `OPENFLOW_INVALID_ARGUMENT` (the remote, a key that is none), and as of `OpenFlowClient.handshake`
 */
export async function connectOpenFlow(options: ConnectOpenFlowOptions): Promise<OpenFlowClient> {
  const { remote, tls = {}, timeoutMs = 5_000, signal } = options;
  const stream = await openStream(remote, tls, { signal, timeoutMs, inVain: `'${remote}' gave no connection` });
  return OpenFlowClient.handshake(stream, { name: remote, ...options });
}
