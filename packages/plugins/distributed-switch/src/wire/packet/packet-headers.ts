import { type MacAddress, readMac } from "../../dataplane/mac-address.ts";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_SERVICE_VLAN = 0x88a8;
export const ETHERTYPE_IPV6 = 0x86dd;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_GRE = 47;
export const PROTOCOL_ICMPV6 = 58;
export const PROTOCOL_SCTP = 132;

/** How many IPv6 extension headers are looked through; a longer chain is reported, not followed. */
export const MAX_EXTENSION_HEADERS = 8;
const MAX_TAGS = 2;

/** Why headers could not be read to the end. What was read until then stands. */
export type HeaderProblem = "truncated" | "badHeader" | "tooManyHeaders";

/** A fragment's place (IPv4 header, or IPv6 Fragment header). */
export interface FragmentPlace {
  readonly id: number;
  /** In octets. */
  readonly offset: number;
  readonly more: boolean;
}

export interface IpHeader {
  readonly version: 4 | 6;
  /** Views into the frame: 4 or 16 octets. */
  readonly source: Buffer;
  readonly destination: Buffer;
  /** Of what comes after the extension headers. */
  readonly protocol: number;
  /** 0 to 63. */
  readonly dscp: number;
  readonly ecn: number;
  /** TTL or hop limit. */
  readonly hopLimit: number;
  /** Present when the packet is a fragment. */
  readonly fragment?: FragmentPlace;
  /** Where the transport header (or a fragment's middle) begins in the buffer, and where the IP packet ends; Ethernet padding is outside. */
  readonly payloadStart: number;
  readonly payloadEnd: number;
}

/** TCP, UDP or SCTP ports; absent in fragments other than the first. */
export interface TransportPorts {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** TCP's flag octet. */
  readonly tcpFlags?: number;
}

export interface PacketHeaders {
  readonly destinationMac: MacAddress;
  readonly sourceMac: MacAddress;
  /** Tag control informations, outermost first; two at most. */
  readonly tags: readonly number[];
  /** Of the payload behind the tags; a value below 1536 is an IEEE 802.3 length. */
  readonly etherType: number;
  /** Where the payload behind the tags begins. */
  readonly payloadStart: number;
  readonly ip?: IpHeader;
  readonly ports?: TransportPorts;
  readonly problem?: HeaderProblem;
}

/**
 * Reads the headers of the Ethernet frame in `buffer[start, end)`. Never throws and never reads outside of the range; lengths in the
 * frame are checked against it. Undefined when it has no whole Ethernet header.
 */
export function readPacketHeaders(buffer: Buffer, start = 0, end: number = buffer.length): PacketHeaders | undefined {
  if (end - start < 14) return undefined;
  const destinationMac = readMac(buffer, start);
  const sourceMac = readMac(buffer, start + 6);
  const tags: number[] = [];
  let at = start + 12;
  let etherType = buffer.readUInt16BE(at);
  while ((etherType === ETHERTYPE_VLAN || etherType === ETHERTYPE_SERVICE_VLAN) && tags.length < MAX_TAGS) {
    if (at + 6 > end) return { destinationMac, sourceMac, tags, etherType, payloadStart: end, problem: "truncated" };
    tags.push(buffer.readUInt16BE(at + 2));
    at += 4;
    etherType = buffer.readUInt16BE(at);
  }
  const payloadStart = at + 2;
  const ethernet = { destinationMac, sourceMac, tags, etherType, payloadStart };
  if (etherType !== ETHERTYPE_IPV4 && etherType !== ETHERTYPE_IPV6) return ethernet;
  const ip = etherType === ETHERTYPE_IPV4 ? readIpv4(buffer, payloadStart, end) : readIpv6(buffer, payloadStart, end);
  if (typeof ip === "string") return { ...ethernet, problem: ip };
  const { header, problem } = ip;
  if (problem !== undefined) return { ...ethernet, ip: header, problem };
  const ports = readPorts(buffer, header);
  if (typeof ports === "string") return { ...ethernet, ip: header, problem: ports };
  return { ...ethernet, ip: header, ...(ports === undefined ? {} : { ports }) };
}

interface ReadIp {
  readonly header: IpHeader;
  readonly problem?: HeaderProblem;
}

function readIpv4(buffer: Buffer, start: number, end: number): ReadIp | HeaderProblem {
  if (end - start < 20) return "truncated";
  const first = buffer.readUInt8(start);
  const headerBytes = (first & 0x0f) * 4;
  const total = buffer.readUInt16BE(start + 2);
  if (first >>> 4 !== 4 || headerBytes < 20 || total < headerBytes) return "badHeader";
  const cut = start + total > end;
  if (start + headerBytes > end) return "truncated";
  const service = buffer.readUInt8(start + 1);
  const flags = buffer.readUInt16BE(start + 6);
  const offset = (flags & 0x1fff) * 8;
  const more = (flags & 0x2000) !== 0;
  const header: IpHeader = {
    version: 4,
    source: buffer.subarray(start + 12, start + 16),
    destination: buffer.subarray(start + 16, start + 20),
    protocol: buffer.readUInt8(start + 9),
    dscp: service >>> 2,
    ecn: service & 3,
    hopLimit: buffer.readUInt8(start + 8),
    ...(offset > 0 || more ? { fragment: { id: buffer.readUInt16BE(start + 4), offset, more } } : {}),
    payloadStart: start + headerBytes,
    payloadEnd: Math.min(end, start + total),
  };
  // A frame cut by a snap length still has its headers: ports are read when they are there.
  return cut && start + headerBytes + 4 > end ? { header, problem: "truncated" } : { header };
}

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const NO_NEXT_HEADER = 59;
const DESTINATION_OPTIONS = 60;
const MOBILITY = 135;

function readIpv6(buffer: Buffer, start: number, end: number): ReadIp | HeaderProblem {
  if (end - start < 40) return "truncated";
  const first = buffer.readUInt32BE(start);
  if (first >>> 28 !== 6) return "badHeader";
  const service = (first >>> 20) & 0xff;
  const stop = Math.min(end, start + 40 + buffer.readUInt16BE(start + 4));
  let protocol = buffer.readUInt8(start + 6);
  let at = start + 40;
  let fragment: FragmentPlace | undefined;
  let problem: HeaderProblem | undefined;
  for (let count = 0; isExtension(protocol); count += 1) {
    if (count === MAX_EXTENSION_HEADERS) problem = "tooManyHeaders";
    else if (at + 8 > stop) problem = "truncated";
    if (problem !== undefined) break;
    const next = buffer.readUInt8(at);
    if (protocol === FRAGMENT) {
      const place = buffer.readUInt16BE(at + 2);
      fragment = { id: buffer.readUInt32BE(at + 4), offset: place & 0xfff8, more: (place & 1) !== 0 };
      at += 8;
      protocol = next;
      // Behind the first fragment comes the middle of a packet, not a header.
      if (fragment.offset > 0) break;
      continue;
    }
    const units = buffer.readUInt8(at + 1);
    at += protocol === AUTHENTICATION ? (units + 2) * 4 : (units + 1) * 8;
    protocol = next;
    if (at > stop) {
      at = stop;
      problem = "truncated";
      break;
    }
  }
  const header: IpHeader = {
    version: 6,
    source: buffer.subarray(start + 8, start + 24),
    destination: buffer.subarray(start + 24, start + 40),
    protocol,
    dscp: service >>> 2,
    ecn: service & 3,
    hopLimit: buffer.readUInt8(start + 7),
    ...(fragment === undefined ? {} : { fragment }),
    payloadStart: at,
    payloadEnd: stop,
  };
  return problem === undefined ? { header } : { header, problem };
}

function isExtension(protocol: number): boolean {
  return (
    protocol === HOP_BY_HOP ||
    protocol === ROUTING ||
    protocol === FRAGMENT ||
    protocol === AUTHENTICATION ||
    protocol === DESTINATION_OPTIONS ||
    protocol === MOBILITY
  );
}

function readPorts(buffer: Buffer, header: IpHeader): TransportPorts | HeaderProblem | undefined {
  const { protocol, payloadStart: at, payloadEnd, fragment } = header;
  if (protocol === NO_NEXT_HEADER || (fragment?.offset ?? 0) > 0) return undefined;
  if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP && protocol !== PROTOCOL_SCTP) return undefined;
  if (payloadEnd - at < 4) return "truncated";
  const ports = { sourcePort: buffer.readUInt16BE(at), destinationPort: buffer.readUInt16BE(at + 2) };
  if (protocol !== PROTOCOL_TCP || payloadEnd - at < 14) return ports;
  return { ...ports, tcpFlags: buffer.readUInt8(at + 13) };
}
