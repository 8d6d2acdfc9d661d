// Providers of another process
export type { ProviderSource, ServedProvider } from "./call-server.ts";
// A plugin in a child process
export type { ChildOptions, RestartOptions } from "./child-plugin.ts";
export type { ChildCommand } from "./child-process-peer.ts";
// Data-plane processes
export { connectDataPlane, type DataPlaneConnection } from "./connect-data-plane.ts";
export { connectProviders } from "./connect-providers.ts";
export { type ExternalOptions, external } from "./external.ts";
// The wire
export {
  type ByteStream,
  JsonRpcLink,
  type LinkLimits,
  type NotificationHandler,
  type RequestHandler,
} from "./json-rpc-link.ts";
export { type IsolatedOptions, isolated } from "./isolated.ts";
export { KernelProviders, type ProviderLookup } from "./kernel-providers.ts";
export { type ProcessLock, takeProcessLock } from "./process-lock.ts";
export { overPipe, type PipedProvider } from "./over-pipe.ts";
export { RemoteConnection, type RemoteConnectionOptions } from "./remote-connection.ts";
export {
  type DataPlane,
  type DataPlaneCall,
  type DataPlaneEnvironment,
  type DataPlaneMethod,
  dataPlaneEnvironment,
  dataPlaneVariables,
  type ServeDataPlaneOptions,
  serveDataPlane,
} from "./serve-data-plane.ts";
export { ProviderDirectory, serveProviders } from "./serve-providers.ts";
export { connectUnix, listenUnix, type UnixServer } from "./unix-server.ts";
export { checkUnixSocketPath, maxUnixSocketPathBytes } from "./unix-socket-path.ts";
export { type CallMeta, type PeerInfo, type ProviderInfo, wireProtocol } from "./wire-protocol.ts";
