import { encodeInstructions, type Flow } from "./flow.ts";
import { encodeMatch, type Match } from "./match.ts";
import { OpenFlowError } from "./openflow-error.ts";

/** The version that is spoken: OpenFlow 1.3. */
export const version = 0x04;

/** Message types (OpenFlow 1.3.5, 7.1). */
export const messageType = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  featuresRequest: 5,
  featuresReply: 6,
  setConfig: 9,
  packetIn: 10,
  packetOut: 13,
  flowMod: 14,
  portMod: 16,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
  roleRequest: 24,
  roleReply: 25,
  meterMod: 29,
} as const;

/** What a multipart message is about (OpenFlow 1.3.5, 7.3.5). */
export const multipartType = { flow: 1, portStats: 4, meter: 9 } as const;

/** A limit of a meter: bits or packets, never both (OpenFlow 1.3.5, 7.3.4.4). */
export interface Meter {
  readonly id: number;
  readonly unit: "kilobits" | "packets";
  /** Per second. */
  readonly rate: number;
  /** In kilobits or packets. */
  readonly burst: number;
}

const anyPort = 0xffff_ffff;
const controllerPort = 0xffff_fffd;
const noBuffer = 0xffff_ffff;

/** A whole message. The transaction id comes later: {@link setTransactionId}. */
export function encodeMessage(type: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const length = 8 + body.length;
  if (length > 0xffff) {
    throw new OpenFlowError(
      "OPENFLOW_INVALID_ARGUMENT",
      `a message of ${length} octets is longer than OpenFlow's may be`,
    );
  }
  const header = Buffer.alloc(8);
  header.writeUInt8(version, 0);
  header.writeUInt8(type, 1);
  header.writeUInt16BE(length, 2);
  return Buffer.concat([header, body]);
}

/** Gives a message its transaction id. */
export function setTransactionId(message: Buffer, xid: number): Buffer {
  message.writeUInt32BE(xid, 4);
  return message;
}

/** Adds a flow, or replaces the one of the same table, priority and match, whose counters go on. */
export function addFlow(flow: Flow, cookie: bigint): Buffer {
  return flowMod({
    command: 0,
    table: flow.table,
    priority: flow.priority,
    cookie,
    match: encodeMatch(flow.match),
    instructions: encodeInstructions(flow),
  });
}

/** Deletes the flow of this table, priority, match and cookie; one with another cookie stays. `match` is as it is sent. */
export function deleteFlow(flow: {
  readonly table: number;
  readonly priority: number;
  readonly match: Buffer;
  readonly cookie: bigint;
}): Buffer {
  return flowMod({ command: 4, ...flow, cookieMask: 0xffff_ffff_ffff_ffffn, instructions: Buffer.alloc(0) });
}

function flowMod(flow: {
  readonly command: number;
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly cookieMask?: bigint;
  readonly match: Buffer;
  readonly instructions: Buffer;
}): Buffer {
  const fixed = Buffer.alloc(40);
  fixed.writeBigUInt64BE(flow.cookie, 0);
  fixed.writeBigUInt64BE(flow.cookieMask ?? 0n, 8);
  fixed.writeUInt8(flow.table, 16);
  fixed.writeUInt8(flow.command, 17);
  fixed.writeUInt16BE(flow.priority, 22);
  fixed.writeUInt32BE(0xffff_ffff, 24);
  fixed.writeUInt32BE(anyPort, 28);
  fixed.writeUInt32BE(anyPort, 32);
  return encodeMessage(messageType.flowMod, Buffer.concat([fixed, flow.match, flow.instructions]));
}

/** Makes a meter, changes it, or deletes it. */
export function meterMod(command: "add" | "modify" | "delete", { id, unit, rate, burst }: Meter): Buffer {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16BE({ add: 0, modify: 1, delete: 2 }[command], 0);
  // OFPMF_BURST, OFPMF_STATS
  fixed.writeUInt16BE((unit === "kilobits" ? 1 : 2) | 4 | 8, 2);
  fixed.writeUInt32BE(id, 4);
  if (command === "delete") return encodeMessage(messageType.meterMod, fixed);
  const band = Buffer.alloc(16);
  band.writeUInt16BE(1, 0);
  band.writeUInt16BE(16, 2);
  band.writeUInt32BE(rate, 4);
  band.writeUInt32BE(burst, 8);
  return encodeMessage(messageType.meterMod, Buffer.concat([fixed, band]));
}

/** Asks to be the one connection that may change anything. Whoever asked with a lower number may not any more. */
export function becomeMaster(generation: bigint): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt32BE(2, 0);
  body.writeBigUInt64BE(generation, 8);
  return encodeMessage(messageType.roleRequest, body);
}

/** Asks for the frames that flows send to the controller: a connection to a management socket gets none before it has (Open vSwitch's design page, "Asynchronous Messages"). */
export function receivePackets(): Buffer {
  const body = Buffer.alloc(4);
  // OFPCML_NO_BUFFER
  body.writeUInt16BE(0xffff, 2);
  return encodeMessage(messageType.setConfig, body);
}

/** Lets a frame leave by a port, whatever flows say. */
export function packetOut(port: number, frame: Buffer): Buffer {
  const action = Buffer.alloc(16);
  action.writeUInt16BE(16, 2);
  action.writeUInt32BE(port, 4);
  const fixed = Buffer.alloc(16);
  fixed.writeUInt32BE(noBuffer, 0);
  fixed.writeUInt32BE(controllerPort, 4);
  fixed.writeUInt16BE(action.length, 8);
  return encodeMessage(messageType.packetOut, Buffer.concat([fixed, action, frame]));
}

/** Which flows are asked for. */
export interface FlowQuery {
  /** Every table where it is absent. */
  readonly table?: number;
  readonly cookie?: bigint;
  /** The bits of the cookie that count; none where it is absent. */
  readonly cookieMask?: bigint;
  readonly match?: Match;
}

/** Asks for flows and their counters. */
export function flowStatsRequest({ table = 0xff, cookie = 0n, cookieMask = 0n, match = [] }: FlowQuery): Buffer {
  const fixed = Buffer.alloc(32);
  fixed.writeUInt8(table, 0);
  fixed.writeUInt32BE(anyPort, 4);
  fixed.writeUInt32BE(anyPort, 8);
  fixed.writeBigUInt64BE(cookie, 16);
  fixed.writeBigUInt64BE(cookieMask, 24);
  return multipartRequest(multipartType.flow, Buffer.concat([fixed, encodeMatch(match)]));
}

/** Asks for the counters of all ports. */
export function portStatsRequest(): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt32BE(anyPort, 0);
  return multipartRequest(multipartType.portStats, body);
}

/** Asks for the counters of all meters. */
export function meterStatsRequest(): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt32BE(0xffff_ffff, 0);
  return multipartRequest(multipartType.meter, body);
}

function multipartRequest(type: number, body: Buffer): Buffer {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16BE(type, 0);
  return encodeMessage(messageType.multipartRequest, Buffer.concat([fixed, body]));
}
