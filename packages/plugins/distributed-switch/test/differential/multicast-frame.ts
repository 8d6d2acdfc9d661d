import fc from "fast-check";
import { addressBytes, internetChecksum, ipFrame } from "../packet.ts";

/** What a station says about a group, or sends to it. */
export interface MulticastDraft {
  readonly kind: "data" | "local" | "report" | "leave" | "reportV3" | "leaveV3" | "query";
  readonly family: 4 | 6;
  /** One of few groups, told apart by their MAC addresses too. */
  readonly group: number;
}

export const multicastDraft: fc.Arbitrary<MulticastDraft> = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant("data" as const) },
    { weight: 1, arbitrary: fc.constant("local" as const) },
    { weight: 3, arbitrary: fc.constantFrom("report" as const, "reportV3" as const) },
    { weight: 2, arbitrary: fc.constantFrom("leave" as const, "leaveV3" as const, "query" as const) },
  ),
  family: fc.constantFrom(4 as const, 6 as const),
  group: fc.nat(2),
});

const IGMP = 2;
const ICMPV6 = 58;
const UDP = 17;
/** Include nothing: leave. Exclude nothing: join (RFC 3376, section 4.2.12). */
const TO_INCLUDE = 3;
const TO_EXCLUDE = 4;
/** A hop-by-hop header with the router alert option (RFC 2711), as every MLD message has. */
const ROUTER_ALERT = { header: 0, bytes: Buffer.from("0000050200000100", "hex") };

/** The frame, without a tag, as RFC 2236, 3376, 2710 and 3810 lay it out. */
export function multicastFrame({ kind, family, group }: MulticastDraft, from: number): Buffer {
  return family === 4 ? ipv4Frame(kind, 0xef01_0101 + group, from) : ipv6Frame(kind, group, from);
}

function ipv4Frame(kind: MulticastDraft["kind"], group: number, from: number): Buffer {
  const send = (destination: number, protocol: number, payload: Buffer): Buffer =>
    ipFrame({
      ...{ to: 0x0100_5e00_0000 + (destination & 0x7f_ffff), from, protocol, payload },
      ...{ source: `10.0.0.${(from & 0xff) + 1}`, destination: dotted(destination) },
    });
  const message = (type: number, about: number, rest: Buffer = Buffer.alloc(0)): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt8(type, 0);
    bytes.writeUInt32BE(about, 4);
    const whole = Buffer.concat([bytes, rest]);
    whole.writeUInt16BE(internetChecksum(whole), 2);
    return whole;
  };
  const record = (type: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt8(type, 0);
    bytes.writeUInt32BE(group, 4);
    return bytes;
  };
  switch (kind) {
    case "data":
      return send(group, UDP, Buffer.alloc(30, 1));
    case "local":
      return send(0xe000_00fb, UDP, Buffer.alloc(30, 2));
    case "report":
      return send(group, IGMP, message(0x16, group));
    case "leave":
      return send(0xe000_0002, IGMP, message(0x17, group));
    case "reportV3":
      return send(0xe000_0016, IGMP, message(0x22, 1, record(TO_EXCLUDE)));
    case "leaveV3":
      return send(0xe000_0016, IGMP, message(0x22, 1, record(TO_INCLUDE)));
    case "query":
      return send(0xe000_0001, IGMP, message(0x11, 0));
  }
}

function ipv6Frame(kind: MulticastDraft["kind"], group: number, from: number): Buffer {
  const address = `ff05::1:${group + 1}`;
  const groupBytes = Buffer.from(`ff05000000000000000000000001${(group + 1).toString(16).padStart(4, "0")}`, "hex");
  const source = `fe80::${((from & 0xff) + 1).toString(16)}`;
  const send = (destination: string, lastWord: number, protocol: number, payload: Buffer): Buffer => {
    if (protocol === ICMPV6) payload.writeUInt16BE(icmpV6Checksum(source, destination, payload), 2);
    return ipFrame({
      ...{ to: 0x3333_0000_0000 + lastWord, from, protocol, payload, source, destination },
      extensions: protocol === ICMPV6 ? [ROUTER_ALERT] : [],
    });
  };
  const message = (type: number, about: Buffer): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt8(type, 0);
    return Buffer.concat([bytes, about]);
  };
  const record = (type: number): Buffer => Buffer.concat([Buffer.from([type, 0, 0, 0]), groupBytes]);
  const report = (type: number): Buffer => {
    const bytes = message(143, record(type));
    bytes.writeUInt16BE(1, 6);
    return bytes;
  };
  switch (kind) {
    case "data":
      return send(address, 0x1_0001 + group, UDP, Buffer.alloc(30, 1));
    case "local":
      return send("ff02::fb", 0xfb, UDP, Buffer.alloc(30, 2));
    case "report":
      return send(address, 0x1_0001 + group, ICMPV6, message(131, groupBytes));
    case "leave":
      return send("ff02::2", 2, ICMPV6, message(132, groupBytes));
    case "reportV3":
      return send("ff02::16", 0x16, ICMPV6, report(TO_EXCLUDE));
    case "leaveV3":
      return send("ff02::16", 0x16, ICMPV6, report(TO_INCLUDE));
    case "query":
      return send("ff02::1", 1, ICMPV6, message(130, Buffer.alloc(16)));
  }
}

/** Over the pseudo header of RFC 8200, section 8.1, and the message, whose own checksum is still zero. */
function icmpV6Checksum(source: string, destination: string, message: Buffer): number {
  const length = Buffer.alloc(8);
  length.writeUInt32BE(message.length, 0);
  length.writeUInt32BE(ICMPV6, 4);
  return internetChecksum(Buffer.concat([addressBytes(source), addressBytes(destination), length, message]));
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}
