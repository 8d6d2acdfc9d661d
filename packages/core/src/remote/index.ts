// Providers of another process
export type { ProviderSource, ServedProvider } from "./call-server.ts";
export { connectProviders } from "./connect-providers.ts";
export { RemoteConnection, type RemoteConnectionOptions } from "./remote-connection.ts";
export { ProviderDirectory, serveProviders } from "./serve-providers.ts";
// The wire
export {
  type ByteStream,
  JsonRpcLink,
  type LinkLimits,
  type NotificationHandler,
  type RequestHandler,
} from "./json-rpc-link.ts";
export { type CallMeta, type PeerInfo, type ProviderInfo, wireProtocol } from "./wire-protocol.ts";
