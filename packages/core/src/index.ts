// The context of an operation
export { type Clock, systemClock } from "./context/clock.ts";
export {
  createOperationContext,
  isCancellable,
  isOperationContext,
  type OperationEnvironment,
} from "./context/create-operation-context.ts";
export { type Logger, silentLogger } from "./context/logger.ts";
export type { CallOptions, OperationContext, Progress, Random } from "./context/operation-context.ts";
export { systemRandom } from "./context/random.ts";
export { refuseWhenOver } from "./context/refuse-when-over.ts";
export { type ErrorCode, errorCodes, isRetryableCode } from "./error/error-code.ts";
export {
  isVdcError,
  type ObjectReference,
  type SerializedError,
  toVdcError,
  VdcError,
  type VdcErrorOptions,
} from "./error/vdc-error.ts";
// Events and hooks
export { defineEvent, type EventToken } from "./event/event-token.ts";
export {
  type ListenerFailure,
  listenerFailed,
  type PluginStateChange,
  pluginStateChanged,
} from "./event/kernel-events.ts";
export { defineHook, type HookFunction, type HookKind, type HookResult, type HookToken } from "./event/hook-token.ts";
// Extension points
export type {
  Call,
  Calls,
  Contract,
  CoreOperationName,
  FacetName,
  FacetOf,
  FacetOperationsOf,
  FacetsOf,
  OperationsOf,
} from "./extension-point/contract.ts";
export { describeOperation } from "./extension-point/describe-operation.ts";
export {
  type DescribeInput,
  type Description,
  describeInput,
  description,
  type FacetAvailability,
  facetAvailability,
  type Scope,
} from "./extension-point/description.ts";
export {
  type AnyExtensionPoint,
  type Cardinality,
  type ContractOf,
  defineExtensionPoint,
  type ExtensionPoint,
  type ExtensionPointOptions,
  extensionPointFormat,
  extensionPointFormatOf,
} from "./extension-point/extension-point.ts";
export type { Facet, Handle, Providers } from "./extension-point/handle.ts";
export {
  type OperationDefinition,
  type OperationKind,
  type OperationMethod,
  type OperationOf,
  type OperationOptions,
  stream,
  unary,
  universalErrorCodes,
  watch,
} from "./extension-point/operation.ts";
export {
  type ContractAdapter,
  type ContractAdapterOptions,
  contractAdapter,
} from "./extension-point/contract-adapter.ts";
export {
  type ContractJsonSchema,
  contractJsonSchema,
  type OperationJsonSchema,
} from "./extension-point/contract-json-schema.ts";
export { isContractCompatible } from "./extension-point/is-contract-compatible.ts";
export { coreVersion } from "./core-version.ts";
// Plugins
export {
  definePlugin,
  type Plugin,
  type PluginOptions,
  pluginFormat,
  pluginFormatOf,
} from "./plugin/define-plugin.ts";
export { type PluginState, pluginStates } from "./plugin/plugin-state.ts";
export type { PluginManifest, ProviderName, Provision, Requirement, Requirements } from "./plugin/manifest.ts";
export type { HookOptions, PluginContext } from "./plugin/plugin-context.ts";
export {
  all,
  fromConfig,
  type HandleOf,
  one,
  provides,
  type ProvidersOf,
  type Required,
  type Used,
} from "./plugin/requirement.ts";
// Data that crosses a contract
export { type Json, type JsonObject, json, jsonObject } from "./schema/json.ts";
export {
  type Bytes,
  bytes,
  type Counter64,
  counter64,
  decodeCounter,
  encodeCounter,
  type Timestamp,
  timestamp,
} from "./schema/quantity.ts";
export { type Plain, type Same, schemaOf } from "./schema/schema-of.ts";

// Parts that contracts share
export {
  type FencingStrength,
  fencingStrength,
  type Generation,
  generation,
  identifier,
  nothing,
  objectName,
  type OwnerStamp,
  ownerStamp,
} from "./contract/ownership.ts";
export { type Page, pageByKey, pageOf, type PageRequest, pageRequestShape } from "./contract/page.ts";
export { type WatchItem, watchItemOf } from "./contract/watch-item.ts";

// Tasks
export type { Task, TaskContext, TaskOptions, TaskSnapshot, TaskState } from "./task/task.ts";
