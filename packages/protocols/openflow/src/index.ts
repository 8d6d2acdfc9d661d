// Connecting
export { type ConnectOpenFlowOptions, connectOpenFlow } from "./client/connect-openflow.ts";
export type { RefusedMessage } from "./client/batch.ts";
export type { CallOptions } from "./client/deadline.ts";
export { OpenFlowClient, type OpenFlowClientOptions } from "./client/openflow-client.ts";
export type { ConnectionSettings } from "./client/openflow-connection.ts";
export type { TlsSettings } from "./client/open-stream.ts";

// Flows
export { type Action, reservedPorts } from "./flow/action.ts";
export { addressValue, bitsOf, type FieldName, macValue } from "./flow/field.ts";
export { encodeInstructions, type Flow } from "./flow/flow.ts";
export { decodeMatch, encodeMatch, type FieldMatch, fieldValue, type Match } from "./flow/match.ts";

// What is sent
export { addFlow, deleteFlow, deleteFlows, type FlowQuery, type InstalledFlow } from "./messages/flow-mod.ts";
export { type Meter, meterMod } from "./messages/meter.ts";

// What a switch tells
export type { Features } from "./messages/features.ts";
export type { AggregateStats, FlowStats } from "./messages/flow-stats.ts";
export type { MeterStats } from "./messages/meter.ts";
export type { PacketIn } from "./messages/packet.ts";
export type { Port, PortStats, PortStatus } from "./messages/port.ts";

// Errors
export { OpenFlowError, type OpenFlowErrorCode, type OpenFlowErrorOptions } from "./openflow-error.ts";
export type { OpenFlowRefusal } from "./refusal/openflow-refusal.ts";
