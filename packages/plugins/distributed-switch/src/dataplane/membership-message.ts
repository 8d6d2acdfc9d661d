import { addToChecksum, foldChecksum, internetChecksum } from "../wire/packet/internet-checksum.ts";
import type { FrameInFlight } from "./frame-in-flight.ts";
import type { MacAddress } from "./mac-address.ts";
import type { PacketFields } from "./packet-fields.ts";

/** What a multicast membership message says; groups by the MAC address that they are sent to. */
export type MembershipMessage =
  | { readonly kind: "query"; readonly fromRouter: boolean }
  | { readonly kind: "report"; readonly joins: readonly MacAddress[]; readonly leaves: readonly MacAddress[] };

const IGMP = 2;
const ICMPV6 = 58;

const IGMP_QUERY = 0x11;
const IGMP_V1_REPORT = 0x12;
const IGMP_V2_REPORT = 0x16;
const IGMP_V2_LEAVE = 0x17;
const IGMP_V3_REPORT = 0x22;
const MLD_QUERY = 130;
const MLD_REPORT = 131;
const MLD_DONE = 132;
const MLD_V2_REPORT = 143;

const MODE_IS_INCLUDE = 1;
const CHANGE_TO_INCLUDE = 3;
const BLOCK_OLD_SOURCES = 6;

/**
 * Reads IGMP version 1 to 3 (RFC 1112, 2236, 3376) and MLD version 1 and 2 (RFC 2710, 3810). Undefined for everything else, among it
 * messages that are cut short, and those with a wrong checksum, of their IP header or their own: nothing in them is to be believed
 * (RFC 4541, section 2.1.1). Of a report whose records are cut short, those before that.
 */
export function readMembershipMessage(frame: FrameInFlight, fields: PacketFields): MembershipMessage | undefined {
  const { version, protocol, payloadOffset: at } = fields;
  if (at < 0) return undefined;
  if (version === 4 && protocol === IGMP) {
    const message = igmpIn(frame, fields, at);
    return message && readIgmp(message, fields);
  }
  if (version === 6 && protocol === ICMPV6) {
    const message = mldIn(frame, fields, at);
    return message && readMld(message);
  }
  return undefined;
}

/** The message without what pads the frame; undefined when a checksum is wrong. */
function igmpIn({ buffer, end }: FrameInFlight, { ipOffset }: PacketFields, at: number): Buffer | undefined {
  const last = ipOffset + buffer.readUInt16BE(ipOffset + 2);
  if (last > end || last - at < 8) return undefined;
  if (internetChecksum(buffer, ipOffset, at) !== 0 || internetChecksum(buffer, at, last) !== 0) return undefined;
  return buffer.subarray(at, last);
}

/** The same for MLD, whose checksum covers the addresses too (RFC 8200, section 8.1). */
function mldIn({ buffer, end }: FrameInFlight, { ipOffset }: PacketFields, at: number): Buffer | undefined {
  const last = ipOffset + 40 + buffer.readUInt16BE(ipOffset + 4);
  if (last > end || last - at < 8) return undefined;
  const pseudoHeader = addToChecksum(last - at + ICMPV6, buffer, ipOffset + 8, ipOffset + 40);
  return foldChecksum(addToChecksum(pseudoHeader, buffer, at, last)) === 0 ? buffer.subarray(at, last) : undefined;
}

/** The MAC address to which an IPv4 group is sent (RFC 1112, section 6.4). */
function ipv4GroupMac(group: number): MacAddress {
  return 0x0100_5e00_0000 + (group & 0x7f_ffff);
}

/** The MAC address to which an IPv6 group is sent (RFC 2464, section 7), by the group's last word. */
function ipv6GroupMac(lastWord: number): MacAddress {
  return 0x3333_0000_0000 + (lastWord >>> 0);
}

function readIgmp(buffer: Buffer, { source }: PacketFields): MembershipMessage | undefined {
  const type = buffer.readUInt8(0);
  const group = (offset: number): MacAddress => ipv4GroupMac(buffer.readInt32BE(offset));
  // A query from 0.0.0.0 comes from a switch, not from a router (RFC 4541, section 2.1.1).
  if (type === IGMP_QUERY) return { kind: "query", fromRouter: source[0] !== 0 };
  if (type === IGMP_V1_REPORT || type === IGMP_V2_REPORT) return { kind: "report", joins: [group(4)], leaves: [] };
  if (type === IGMP_V2_LEAVE) return { kind: "report", joins: [], leaves: [group(4)] };
  return type === IGMP_V3_REPORT ? readRecords(buffer, { groupBytes: 4, groupOf: group }) : undefined;
}

function readMld(buffer: Buffer): MembershipMessage | undefined {
  const type = buffer.readUInt8(0);
  const group = (offset: number): MacAddress => ipv6GroupMac(buffer.readInt32BE(offset + 12));
  if (type === MLD_V2_REPORT) return readRecords(buffer, { groupBytes: 16, groupOf: group });
  if (buffer.length < 24) return undefined;
  if (type === MLD_QUERY) return { kind: "query", fromRouter: true };
  if (type === MLD_REPORT) return { kind: "report", joins: [group(8)], leaves: [] };
  return type === MLD_DONE ? { kind: "report", joins: [], leaves: [group(8)] } : undefined;
}

interface RecordLayout {
  readonly groupBytes: number;
  readonly groupOf: (offset: number) => MacAddress;
}

/** The group records of IGMPv3 and MLDv2 reports, which differ in the length of addresses alone. */
function readRecords(buffer: Buffer, { groupBytes, groupOf }: RecordLayout): MembershipMessage {
  const joins: MacAddress[] = [];
  const leaves: MacAddress[] = [];
  const records = buffer.readUInt16BE(6);
  let offset = 8;
  for (let record = 0; record < records && offset + 4 + groupBytes <= buffer.length; record += 1) {
    const type = buffer.readUInt8(offset);
    const auxiliary = buffer.readUInt8(offset + 1) * 4;
    const sources = buffer.readUInt16BE(offset + 2);
    const group = groupOf(offset + 4);
    offset += 4 + groupBytes + sources * groupBytes + auxiliary;
    // To include nothing is to leave; sources are not told apart, as RFC 4541 section 2.1.2 allows.
    if ((type === MODE_IS_INCLUDE || type === CHANGE_TO_INCLUDE) && sources === 0) leaves.push(group);
    else if (type >= MODE_IS_INCLUDE && type < BLOCK_OLD_SOURCES) joins.push(group);
  }
  return { kind: "report", joins, leaves };
}
