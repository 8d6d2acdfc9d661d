import { type MacAddress, readMac } from "../../dataplane/mac-address.ts";
import { ETHERTYPE_ARP, PROTOCOL_ICMPV6, readPacketHeaders } from "./packet-headers.ts";

/** An ARP packet for IPv4 over Ethernet (RFC 826; the reverse operations of RFC 903 have numbers 3 and 4). */
export interface ArpPacket {
  readonly kind: "arp";
  readonly operation: number;
  readonly senderMac: MacAddress;
  /** 4 octets, a view into the frame. */
  readonly senderAddress: Buffer;
  readonly targetMac: MacAddress;
  readonly targetAddress: Buffer;
}

/** An ICMPv6 Neighbour Discovery message (RFC 4861): type 133 to 137. */
export interface NeighbourDiscovery {
  readonly kind: "neighbourDiscovery";
  readonly type: number;
  /** Of the IPv6 header: 16 octets, a view into the frame. */
  readonly sourceAddress: Buffer;
  /** In solicitations and advertisements of neighbours, and redirects. */
  readonly targetAddress?: Buffer;
  /** The router (0x80), solicited (0x40) and override (0x20) bits of a neighbour advertisement. */
  readonly flags: number;
  /** From the source (1) or target (2) link-layer address option. */
  readonly linkLayerAddress?: MacAddress;
}

const ROUTER_SOLICITATION = 133;
const ROUTER_ADVERTISEMENT = 134;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
const REDIRECT = 137;

/** Where a message's options begin, from the ICMPv6 type on. */
const OPTIONS_AT = new Map([
  [ROUTER_SOLICITATION, 8],
  [ROUTER_ADVERTISEMENT, 16],
  [NEIGHBOUR_SOLICITATION, 24],
  [NEIGHBOUR_ADVERTISEMENT, 24],
  [REDIRECT, 40],
]);

/**
 * Reads a frame's address resolution: an ARP packet, or a Neighbour Discovery message. Undefined for every other frame, and for one
 * that is cut short or breaks RFC 4861's rules (hop limit 255, code 0, no option of length 0). Never throws.
 */
export function readNeighbourPacket(
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
): ArpPacket | NeighbourDiscovery | undefined {
  const headers = readPacketHeaders(buffer, start, end);
  if (headers === undefined || headers.problem !== undefined) return undefined;
  if (headers.etherType === ETHERTYPE_ARP) return readArp(buffer, headers.payloadStart, end);
  const { ip } = headers;
  if (ip?.version !== 6 || ip.protocol !== PROTOCOL_ICMPV6 || ip.fragment !== undefined || ip.hopLimit !== 255) {
    return undefined;
  }
  return readDiscovery(buffer, { at: ip.payloadStart, end: ip.payloadEnd, sourceAddress: ip.source });
}

function readArp(buffer: Buffer, at: number, end: number): ArpPacket | undefined {
  if (end - at < 28) return undefined;
  // Ethernet, IPv4, and the lengths that belong to them.
  if (buffer.readUInt32BE(at) !== 0x0001_0800 || buffer.readUInt16BE(at + 4) !== 0x0604) return undefined;
  return {
    kind: "arp",
    operation: buffer.readUInt16BE(at + 6),
    senderMac: readMac(buffer, at + 8),
    senderAddress: buffer.subarray(at + 14, at + 18),
    targetMac: readMac(buffer, at + 18),
    targetAddress: buffer.subarray(at + 24, at + 28),
  };
}

function readDiscovery(
  buffer: Buffer,
  { at, end, sourceAddress }: { readonly at: number; readonly end: number; readonly sourceAddress: Buffer },
): NeighbourDiscovery | undefined {
  if (end - at < 8 || buffer.readUInt8(at + 1) !== 0) return undefined;
  const type = buffer.readUInt8(at);
  const optionsAt = OPTIONS_AT.get(type);
  if (optionsAt === undefined || at + optionsAt > end) return undefined;
  let linkLayerAddress: MacAddress | undefined;
  for (let option = at + optionsAt; option + 2 <= end; ) {
    const length = buffer.readUInt8(option + 1) * 8;
    if (length === 0 || option + length > end) return undefined;
    const kind = buffer.readUInt8(option);
    if (kind === 1 || kind === 2) linkLayerAddress = readMac(buffer, option + 2);
    option += length;
  }
  return {
    kind: "neighbourDiscovery",
    type,
    sourceAddress,
    ...(optionsAt >= 24 ? { targetAddress: buffer.subarray(at + 8, at + 24) } : {}),
    flags: type === NEIGHBOUR_ADVERTISEMENT ? buffer.readUInt8(at + 4) & 0xe0 : 0,
    ...(linkLayerAddress === undefined ? {} : { linkLayerAddress }),
  };
}
