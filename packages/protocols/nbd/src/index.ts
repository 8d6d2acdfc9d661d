// Server

// The disk behind an export
export type { BlockBackend, BlockExtent, BlockResult } from "./block-backend.ts";
// Errors
export type { NbdErrno } from "./errno.ts";
export { NbdError, type NbdErrorCode, type NbdErrorOptions } from "./nbd-error.ts";
export type { NbdExportOptions } from "./nbd-export.ts";
export { type CloseOptions, type DrainOptions, NbdServer, type NbdServerOptions } from "./nbd-server.ts";
export type { NbdCommand, NbdConnection, NbdRequest, RequestInterceptor } from "./request-interceptor.ts";

// Client
export { NbdClient, type NbdRequestOptions, type NbdWriteOptions, type NbdWriteZeroesOptions } from "./nbd-client.ts";
export type { NbdAddress, NbdConnectOptions } from "./open-connection.ts";
