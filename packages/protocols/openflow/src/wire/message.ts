import { OpenFlowError } from "../openflow-error.ts";

/** The version that is spoken: OpenFlow 1.3. */
export const version = 0x04;

/** Message types (OpenFlow 1.3.5, 7.1). */
export const messageType = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  experimenter: 4,
  featuresRequest: 5,
  featuresReply: 6,
  setConfig: 9,
  packetIn: 10,
  portStatus: 12,
  packetOut: 13,
  flowMod: 14,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
  roleRequest: 24,
  roleReply: 25,
  setAsync: 28,
  meterMod: 29,
} as const;

/** Who extends the protocol (OpenFlow 1.3.5, 7.2.6): the Open Networking Foundation with its extensions, and Open vSwitch. */
export const experimenters = { onf: 0x4f4e_4600, openVswitch: 0x2320 } as const;

/** Of the header (OpenFlow 1.3.5, 7.1). */
export const headerLength = 8;

/** What a message may have: its length is a number of 16 bits. */
export const longestMessage = 0xffff;

/** A message as it came. */
export interface Message {
  readonly version: number;
  readonly type: number;
  readonly xid: number;
  /** What follows the header. Its octets are shared with other messages: who keeps it copies it. */
  readonly body: Buffer;
}

/**
 * A whole message. Its transaction id comes when it is sent: {@link setTransactionId}.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT` where it is longer than a message can be
 */
export function encodeMessage(type: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, headerLength);
  if (length > longestMessage) {
    const text = `a message of ${length} octets is longer than OpenFlow's may be`;
    throw new OpenFlowError("OPENFLOW_INVALID_ARGUMENT", text);
  }
  const header = Buffer.alloc(headerLength);
  header.writeUInt8(version, 0);
  header.writeUInt8(type, 1);
  header.writeUInt16BE(length, 2);
  return Buffer.concat([header, ...parts], length);
}

/** Gives a message its transaction id, in its own octets. */
export function setTransactionId(message: Buffer, xid: number): Buffer {
  message.writeUInt32BE(xid, 4);
  return message;
}

/**
 * Writes something that may hold a number that has no room where it goes.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT` then
 */
export function inRange<T>(what: string, write: () => T): T {
  try {
    return write();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const text = `${what} holds a number that has no room in its message: ${cause.message}`;
    throw new OpenFlowError("OPENFLOW_INVALID_ARGUMENT", text, { cause });
  }
}
