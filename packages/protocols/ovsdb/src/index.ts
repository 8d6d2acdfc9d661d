// Connecting
export {
  connectOvsdb,
  OvsdbClient,
  type OvsdbClientOptions,
} from "./client/ovsdb-client.ts";
export type { BackOffOptions } from "./client/back-off.ts";
export type { ConnectionSettings } from "./client/connection-settings.ts";
export type { WaitOptions } from "./client/deadline.ts";
export type { OvsdbClientEvents } from "./client/usable-session.ts";
export type { TlsSettings } from "./wire/open-stream.ts";
export { parseRemotes, type Remote } from "./wire/remote.ts";

// Databases: models and the types of rows
export {
  type DatabaseModel,
  type ModelAtom,
  type ModelColumn,
  type ModelTable,
  modelSchema,
} from "./model/database-model.ts";
export { InsertedRow } from "./model/inserted-row.ts";
export type {
  ColumnName,
  DatabaseShape,
  InsertColumns,
  Row,
  SelectedRow,
  Table,
  TableName,
  TableShape,
  UntypedRow,
  UntypedTables,
  UntypedValue,
  UpdateColumns,
  Uuid,
  Writable,
} from "./model/row-types.ts";
export { parseUuid } from "./model/uuid.ts";

// Monitors
export type { MonitorMethod } from "./monitor/monitor-core.ts";
export type {
  MonitorConditions,
  MonitorTable,
  MonitorTables,
  MonitorWhere,
  RowsOf,
  WholeRowsOf,
} from "./monitor/monitor-request.ts";
export type { MonitorEventMap, MonitorViews, OvsdbMonitor, WaitForOptions } from "./monitor/ovsdb-monitor.ts";
export type { MonitoredRows, RowChange } from "./monitor/row-change.ts";
export type { RowIndex } from "./monitor/row-index.ts";
export type { TableView } from "./monitor/table-cache.ts";

// Transactions
export type { Clause, ConditionFunction, ConditionValue, Where } from "./transaction/condition.ts";
export type { Mutation } from "./transaction/mutation.ts";
export { type InsertOptions, Transaction, type WaitOperation } from "./transaction/transaction.ts";
export { type CountHandle, type SelectHandle, TransactionResult } from "./transaction/transaction-result.ts";

// Locks
export { OvsdbLock } from "./client/ovsdb-lock.ts";

// Schemas
export { type AtomType, type BaseType, type ColumnShape, type ColumnType, columnShape } from "./schema/column-type.ts";
export type { ColumnSchema, DatabaseSchema, TableSchema } from "./schema/database-schema.ts";
export { parseSchema } from "./schema/parse-schema.ts";
export { type GenerateTypesOptions, generateTypes } from "./modelgen/generate-types.ts";

// Values
export type { Atom } from "./values/atom.ts";
export type { ColumnValue } from "./values/column-codec.ts";

// Errors
export {
  OvsdbError,
  type OvsdbErrorCode,
  type OvsdbErrorDetails,
  type OvsdbErrorOptions,
} from "./ovsdb-error.ts";
