// Server
export {
  type CloseOptions,
  type DrainOptions,
  type NbdListenOptions,
  NbdServer,
  type NbdServerOptions,
  type NbdTcpOptions,
} from "./server/nbd-server.ts";
export type { NbdExportOptions } from "./server/nbd-export.ts";
export type { TlsMode } from "./server/option-haggling.ts";
export type { NbdCommand, NbdConnection, NbdRequest, RequestInterceptor } from "./server/request-interceptor.ts";
export type { NbdServerTls } from "./server/server-tls.ts";

// The disk behind an export
export type {
  BlockBackend,
  BlockExtent,
  BlockResult,
  BlockZeroOptions,
  DirtyBitmap,
  DirtyExtent,
} from "./block-backend.ts";
export { openRawFile, type RawFile, type RawFileOptions } from "./raw-file.ts";

// Client
export type { NbdClientTls } from "./client/client-tls.ts";
export type { NbdBlockSizes } from "./client/export-negotiation.ts";
export { listExports, type NbdListedExport } from "./client/list-exports.ts";
export { NbdClient, type NbdConnectOptions } from "./client/nbd-client.ts";
export type { NbdRequestOptions, NbdWriteOptions, NbdWriteZeroesOptions } from "./client/request-options.ts";
export type { NbdAddress, NbdReachOptions } from "./client/open-connection.ts";

// Certificates from a folder
export { readClientTls, readServerTls } from "./tls-folder.ts";

// Errors
export { NbdError, type NbdErrorCode, type NbdErrorOptions } from "./nbd-error.ts";
export type { NbdErrno } from "./wire/errno.ts";
