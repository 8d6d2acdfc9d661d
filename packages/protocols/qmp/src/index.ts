// Connecting
export { type ConnectQmpOptions, connectQmp, type QmpAddress } from "./connect-qmp.ts";

// The client
export {
  QmpClient,
  type QmpClientOptions,
  type QmpExecuteOptions,
  type QmpHandshakeOptions,
} from "./qmp-client.ts";

// Commands
export type {
  BlockStats,
  CpuInfoFast,
  JobInfo,
  MigrationInfo,
  QmpArguments,
  QmpCommandName,
  QmpCommandShape,
  QmpCommands,
  QmpEmpty,
  QmpObject,
  QmpResult,
  RunState,
  StatusInfo,
  VersionInfo,
} from "./qmp-commands.ts";

// Errors
export { QmpError, type QmpErrorCode, type QmpErrorDetails, type QmpErrorOptions } from "./qmp-error.ts";

// Events
export type { QmpWaitOptions } from "./event-listeners.ts";
export type { BlockJobEvent, QmpEvent, QmpEventData, QmpEventName, QmpTimestamp } from "./qmp-events.ts";
