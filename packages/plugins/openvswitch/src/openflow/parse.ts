import { messageType, version } from "./messages.ts";
import { OpenFlowError, type OpenFlowRefusal } from "./openflow-error.ts";

/** A message as it came. */
export interface Message {
  readonly version: number;
  readonly type: number;
  readonly xid: number;
  readonly body: Buffer;
}

/** A flow as the switch has it. */
export interface FlowStats {
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly frames: bigint;
  readonly octets: bigint;
  /** As it is sent, with its padding. */
  readonly match: Buffer;
}

/** What a port counted. */
export interface PortStats {
  readonly port: number;
  readonly framesIn: bigint;
  readonly framesOut: bigint;
  readonly octetsIn: bigint;
  readonly octetsOut: bigint;
}

/** What a meter counted. */
export interface MeterStats {
  readonly id: number;
  readonly dropped: bigint;
}

/** A frame that a flow sent to the controller. */
export interface PacketIn {
  /** Of the flow that sent it. */
  readonly table: number;
  /** Of the whole frame. */
  readonly originalLength: number;
  readonly inPort: number;
  /** `reg0` and so on; one that is not told is 0. */
  readonly registers: readonly number[];
  readonly data: Buffer;
}

/** Cuts a stream into messages. What it keeps is less than one message: 64 KiB. */
export class MessageSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws `OPENFLOW_PROTOCOL` */
  push(chunk: Buffer): readonly Message[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Message[] = [];
    let at = 0;
    while (this.#rest.length - at >= 8) {
      const length = this.#rest.readUInt16BE(at + 2);
      const type = this.#rest.readUInt8(at + 1);
      const spoken = this.#rest.readUInt8(at);
      if (length < 8) throw malformed(`a message of ${length} octets`);
      // A hello, and an error that answers it, can be of any version.
      if (spoken !== version && type !== messageType.hello && type !== messageType.error) {
        throw malformed(`a message of version ${spoken}, and ${version} was agreed on`);
      }
      if (this.#rest.length - at < length) break;
      const xid = this.#rest.readUInt32BE(at + 4);
      messages.push({ version: spoken, type, xid, body: this.#rest.subarray(at + 8, at + length) });
      at += length;
    }
    this.#rest = Buffer.from(this.#rest.subarray(at));
    return messages;
  }
}

/** The refusal that an error message tells. */
export function parseRefusal(body: Buffer): OpenFlowRefusal {
  mustHave(body, 4, "an error");
  return { type: body.readUInt16BE(0), code: body.readUInt16BE(2) };
}

/** Whether a hello's sender speaks our version (OpenFlow 1.3.5, 6.3.1). `spoken` is the version of its header. */
export function speaksOurVersion(spoken: number, body: Buffer): boolean {
  for (let at = 0; body.length - at >= 4; ) {
    const type = body.readUInt16BE(at);
    const length = body.readUInt16BE(at + 2);
    if (length < 4 || length > body.length - at) break;
    if (type === 1 && length >= 8) return ((body.readUInt32BE(at + 4) >>> version) & 1) === 1;
    at += length + ((8 - (length % 8)) % 8);
  }
  return spoken >= version;
}

/** The parts of a multipart reply: its body, and whether another message follows. */
export function parseMultipart(body: Buffer): { readonly type: number; readonly more: boolean; readonly body: Buffer } {
  mustHave(body, 8, "a multipart reply");
  return { type: body.readUInt16BE(0), more: (body.readUInt16BE(2) & 1) === 1, body: body.subarray(8) };
}

/** Flows of one message (OpenFlow 1.3.5, 7.3.5.2). */
export function parseFlowStats(body: Buffer): readonly FlowStats[] {
  const found: FlowStats[] = [];
  for (let at = 0; at < body.length; ) {
    mustHave(body, at + 56, "a flow");
    const length = body.readUInt16BE(at);
    if (length < 56 || length > body.length - at) throw malformed(`a flow of ${length} octets`);
    const matchLength = body.readUInt16BE(at + 50);
    const end = 48 + matchLength + ((8 - (matchLength % 8)) % 8);
    if (matchLength < 4 || end > length) throw malformed(`a match of ${matchLength} octets in a flow of ${length}`);
    found.push({
      table: body.readUInt8(at + 2),
      priority: body.readUInt16BE(at + 12),
      cookie: body.readBigUInt64BE(at + 24),
      frames: body.readBigUInt64BE(at + 32),
      octets: body.readBigUInt64BE(at + 40),
      match: Buffer.from(body.subarray(at + 48, at + end)),
    });
    at += length;
  }
  return found;
}

/** Ports of one message (OpenFlow 1.3.5, 7.3.5.6). */
export function parsePortStats(body: Buffer): readonly PortStats[] {
  if (body.length % 112 !== 0) throw malformed(`counters of ports with ${body.length} octets`);
  return Array.from({ length: body.length / 112 }, (_, index) => {
    const at = index * 112;
    return {
      port: body.readUInt32BE(at),
      framesIn: body.readBigUInt64BE(at + 8),
      framesOut: body.readBigUInt64BE(at + 16),
      octetsIn: body.readBigUInt64BE(at + 24),
      octetsOut: body.readBigUInt64BE(at + 32),
    };
  });
}

/** Meters of one message (OpenFlow 1.3.5, 7.3.5.14). */
export function parseMeterStats(body: Buffer): readonly MeterStats[] {
  const found: MeterStats[] = [];
  for (let at = 0; at < body.length; ) {
    mustHave(body, at + 40, "a meter");
    const length = body.readUInt16BE(at + 4);
    if (length < 40 || length > body.length - at || (length - 40) % 16 !== 0)
      throw malformed(`a meter of ${length} octets`);
    let dropped = 0n;
    for (let band = at + 40; band < at + length; band += 16) dropped += body.readBigUInt64BE(band);
    found.push({ id: body.readUInt32BE(at), dropped });
    at += length;
  }
  return found;
}

/** A frame that a flow sent to the controller (OpenFlow 1.3.5, 7.4.1). */
export function parsePacketIn(body: Buffer): PacketIn {
  mustHave(body, 24, "a frame for the controller");
  const matchLength = body.readUInt16BE(18);
  const end = 16 + matchLength + ((8 - (matchLength % 8)) % 8);
  if (matchLength < 4) throw malformed(`a match of ${matchLength} octets`);
  mustHave(body, end + 2, "a frame for the controller");
  let inPort = 0;
  const registers: number[] = [0, 0, 0, 0];
  for (let at = 20; at + 4 <= 16 + matchLength; ) {
    const kind = body.readUInt16BE(at);
    const field = body.readUInt8(at + 2) >> 1;
    const length = body.readUInt8(at + 3);
    if (at + 4 + length > 16 + matchLength) throw malformed(`a field of ${length} octets is cut off`);
    if (length === 4 && kind === 0x8000 && field === 0) inPort = body.readUInt32BE(at + 4);
    if (length === 4 && kind === 0x0001 && field < registers.length) registers[field] = body.readUInt32BE(at + 4);
    at += 4 + length;
  }
  return {
    table: body.readUInt8(7),
    originalLength: body.readUInt16BE(4),
    inPort,
    registers,
    data: Buffer.from(body.subarray(end + 2)),
  };
}

function mustHave(body: Buffer, length: number, what: string): void {
  if (body.length < length) throw malformed(`${what} is cut off`);
}

function malformed(what: string): OpenFlowError {
  return new OpenFlowError("OPENFLOW_PROTOCOL", `the switch sent what is no OpenFlow: ${what}`);
}
