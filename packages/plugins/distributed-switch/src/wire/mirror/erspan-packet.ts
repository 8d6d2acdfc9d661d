import type { MacAddress } from "../../dataplane/mac-address.ts";
import { ethernetFrame, ipPacket } from "../packet/packet-builder.ts";
import { PROTOCOL_GRE } from "../packet/packet-headers.ts";
import { WireError } from "../wire-error.ts";

/** The GRE protocol types of ERSPAN type II and III (draft-foschiano-erspan-03). */
export const GRE_ERSPAN_II = 0x88be;
export const GRE_ERSPAN_III = 0x22eb;
/** The largest session id. */
export const MAX_ERSPAN_SESSION = 1023;

const GRE_SEQUENCE_PRESENT = 0x1000;
const GRE_BYTES = 8;
const TYPE_II_BYTES = 8;
const TYPE_III_BYTES = 12;

/** What ERSPAN says about a mirrored frame. */
export interface ErspanMeta {
  /** 0 to {@link MAX_ERSPAN_SESSION}. */
  readonly session: number;
  /** GRE's sequence number, of the session; modulo 2^32. */
  readonly sequence: number;
  /** The VLAN that the frame was seen in; 0 for none. */
  readonly vlan: number;
  /** 802.1p, 0 to 7. */
  readonly priority?: number | undefined;
  /** Whether the frame still carries its tag. */
  readonly tagged?: boolean | undefined;
  /** Whether the frame was cut. */
  readonly truncated?: boolean | undefined;
  /** Type II has 20 bits for it and leaves their meaning open: here the port's number, and whether the frame went `out` in the lowest bit. */
  readonly portNumber?: number | undefined;
  /** Seen from the switch: `in` came from the port's NIC. */
  readonly direction?: "in" | "out" | undefined;
}

/** The octets that stand before a mirrored frame, its IP header not counted. */
export function erspanOverhead(type: 2 | 3): number {
  return GRE_BYTES + (type === 2 ? TYPE_II_BYTES : TYPE_III_BYTES);
}

/**
 * GRE with a sequence number, ERSPAN's header of type II, then the frame without FCS: what an IP packet of protocol 47 carries. Throws
 * `INVALID_ARGUMENT` for a session that has no encoding.
 */
export function erspanTypeII(frame: Uint8Array, meta: ErspanMeta): Buffer {
  const packet = Buffer.allocUnsafe(GRE_BYTES + TYPE_II_BYTES + frame.length);
  writeCommon(packet, { meta, protocol: GRE_ERSPAN_II, version: 1 });
  const outbound = meta.direction === "out" ? 1 : 0;
  packet.writeUInt32BE((((meta.portNumber ?? 0) << 1) | outbound) & 0xf_ffff, GRE_BYTES + 4);
  packet.set(frame, GRE_BYTES + TYPE_II_BYTES);
  return packet;
}

/** Type III: a time stamp in units of 100 microseconds and a bit for the direction, no optional subheader. */
export function erspanTypeIII(frame: Uint8Array, meta: ErspanMeta & { readonly timeMs: number }): Buffer {
  const packet = Buffer.allocUnsafe(GRE_BYTES + TYPE_III_BYTES + frame.length);
  writeCommon(packet, { meta, protocol: GRE_ERSPAN_III, version: 2 });
  packet.writeUInt32BE(Math.floor(meta.timeMs * 10) % 2 ** 32, GRE_BYTES + 4);
  packet.writeUInt16BE(0, GRE_BYTES + 8);
  // P: an Ethernet frame (FT 0) follows. D: which way. Gra 0: 100 microseconds.
  packet.writeUInt16BE(0x8000 | (meta.direction === "out" ? 8 : 0), GRE_BYTES + 10);
  packet.set(frame, GRE_BYTES + TYPE_III_BYTES);
  return packet;
}

interface CommonPart {
  readonly meta: ErspanMeta;
  readonly protocol: number;
  readonly version: number;
}

function writeCommon(packet: Buffer, { meta, protocol, version }: CommonPart): void {
  const { session, vlan, priority = 0, tagged = false, truncated = false } = meta;
  if (!(Number.isInteger(session) && session >= 0 && session <= MAX_ERSPAN_SESSION)) {
    throw new WireError("INVALID_ARGUMENT", `'${session}' is no ERSPAN session: 0 to ${MAX_ERSPAN_SESSION}`);
  }
  packet.writeUInt16BE(GRE_SEQUENCE_PRESENT, 0);
  packet.writeUInt16BE(protocol, 2);
  packet.writeUInt32BE(meta.sequence >>> 0, 4);
  packet.writeUInt16BE((version << 12) | (vlan & 0xfff), GRE_BYTES);
  // Encapsulation of type II: 0 had no tag, 2 had one that was taken off, 3 keeps it. In type III these bits say "good or unknown": 0.
  const encapsulation = version === 2 ? 0 : tagged ? 3 : vlan === 0 ? 0 : 2;
  packet.writeUInt16BE(
    ((priority & 7) << 13) | (encapsulation << 11) | ((truncated ? 1 : 0) << 10) | session,
    GRE_BYTES + 2,
  );
}

export interface ErspanFrameOptions {
  /** Literal addresses of one family. */
  readonly source: string;
  readonly destination: string;
  readonly sourceMac: MacAddress;
  /** The destination's MAC address, or the router's. */
  readonly nextHopMac: MacAddress;
  readonly vlanTag?: number | undefined;
  readonly dscp?: number | undefined;
}

/** A packet of {@link erspanTypeII} or {@link erspanTypeIII} as a whole Ethernet frame, to leave by an uplink port or a tap. */
export function erspanFrame(erspan: Uint8Array, options: ErspanFrameOptions): Buffer {
  const { packet, etherType } = ipPacket(erspan, { ...options, protocol: PROTOCOL_GRE });
  const { sourceMac, nextHopMac: destinationMac, vlanTag: tag } = options;
  return ethernetFrame(etherType, packet, { sourceMac, destinationMac, tag });
}

/** A mirrored frame that came by ERSPAN. */
export interface ErspanPacket extends Required<Omit<ErspanMeta, "portNumber">> {
  readonly type: 2 | 3;
  readonly portNumber: number;
  /** Present in type III. */
  readonly timeMs?: number;
  /** A view into the packet. */
  readonly frame: Buffer;
}

/** Reads what an IP packet of protocol 47 carries. Throws `MALFORMED` when it isn't ERSPAN of type II or III with a sequence number. */
export function readErspan(packet: Buffer): ErspanPacket {
  if (packet.length < GRE_BYTES + TYPE_II_BYTES) throw malformed("too short");
  if (packet.readUInt16BE(0) !== GRE_SEQUENCE_PRESENT) throw malformed("other GRE flags than a sequence number");
  const type = packet.readUInt16BE(2) === GRE_ERSPAN_II ? 2 : packet.readUInt16BE(2) === GRE_ERSPAN_III ? 3 : undefined;
  const first = packet.readUInt16BE(GRE_BYTES);
  const second = packet.readUInt16BE(GRE_BYTES + 2);
  if (type === undefined || first >>> 12 !== type - 1) throw malformed("another version");
  const meta = {
    session: second & 0x3ff,
    sequence: packet.readUInt32BE(4),
    vlan: first & 0xfff,
    priority: second >>> 13,
    tagged: type === 2 && ((second >>> 11) & 3) === 3,
    truncated: (second & 0x400) !== 0,
  };
  if (type === 2) {
    const index = packet.readUInt32BE(GRE_BYTES + 4) & 0xf_ffff;
    const frame = packet.subarray(GRE_BYTES + TYPE_II_BYTES);
    return { type, ...meta, portNumber: index >>> 1, direction: (index & 1) === 1 ? "out" : "in", frame };
  }
  if (packet.length < GRE_BYTES + TYPE_III_BYTES) throw malformed("too short");
  const last = packet.readUInt16BE(GRE_BYTES + 10);
  const start = GRE_BYTES + TYPE_III_BYTES + ((last & 1) === 1 ? 8 : 0);
  if (start > packet.length) throw malformed("too short");
  return {
    type,
    ...meta,
    portNumber: 0,
    direction: (last & 8) === 0 ? "in" : "out",
    timeMs: packet.readUInt32BE(GRE_BYTES + 4) / 10,
    frame: packet.subarray(start),
  };
}

function malformed(what: string): WireError {
  return new WireError("MALFORMED", `this is not an ERSPAN packet that can be read: ${what}`);
}
