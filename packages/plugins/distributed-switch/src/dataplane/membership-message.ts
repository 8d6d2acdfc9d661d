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
 * Reads IGMP version 1 to 3 (RFC 1112, 2236, 3376) and MLD version 1 and 2 (RFC 2710, 3810). Undefined for everything else, messages that
 * are cut short among it; of a report whose records are cut short, those before that.
 */
export function readMembershipMessage(frame: FrameInFlight, fields: PacketFields): MembershipMessage | undefined {
  const { version, protocol, payloadOffset: at } = fields;
  if (at < 0) return undefined;
  if (version === 4 && protocol === IGMP) return readIgmp(frame, fields, at);
  if (version === 6 && protocol === ICMPV6) return readMld(frame, at);
  return undefined;
}

/** The MAC address to which an IPv4 group is sent (RFC 1112, section 6.4). */
function ipv4GroupMac(group: number): MacAddress {
  return 0x0100_5e00_0000 + (group & 0x7f_ffff);
}

/** The MAC address to which an IPv6 group is sent (RFC 2464, section 7), by the group's last word. */
function ipv6GroupMac(lastWord: number): MacAddress {
  return 0x3333_0000_0000 + (lastWord >>> 0);
}

function readIgmp({ buffer, end }: FrameInFlight, { source }: PacketFields, at: number): MembershipMessage | undefined {
  if (end - at < 8) return undefined;
  const type = buffer.readUInt8(at);
  const group = (offset: number): MacAddress => ipv4GroupMac(buffer.readInt32BE(offset));
  // A query from 0.0.0.0 comes from a switch, not from a router (RFC 4541, section 2.1.1).
  if (type === IGMP_QUERY) return { kind: "query", fromRouter: source[0] !== 0 };
  if (type === IGMP_V1_REPORT || type === IGMP_V2_REPORT) return { kind: "report", joins: [group(at + 4)], leaves: [] };
  if (type === IGMP_V2_LEAVE) return { kind: "report", joins: [], leaves: [group(at + 4)] };
  return type === IGMP_V3_REPORT ? readRecords(buffer, at, end, { groupBytes: 4, groupOf: group }) : undefined;
}

function readMld({ buffer, end }: FrameInFlight, at: number): MembershipMessage | undefined {
  if (end - at < 8) return undefined;
  const type = buffer.readUInt8(at);
  const group = (offset: number): MacAddress => ipv6GroupMac(buffer.readInt32BE(offset + 12));
  if (type === MLD_V2_REPORT) return readRecords(buffer, at, end, { groupBytes: 16, groupOf: group });
  if (end - at < 24) return undefined;
  if (type === MLD_QUERY) return { kind: "query", fromRouter: true };
  if (type === MLD_REPORT) return { kind: "report", joins: [group(at + 8)], leaves: [] };
  return type === MLD_DONE ? { kind: "report", joins: [], leaves: [group(at + 8)] } : undefined;
}

interface RecordLayout {
  readonly groupBytes: number;
  readonly groupOf: (offset: number) => MacAddress;
}

/** The group records of IGMPv3 and MLDv2 reports, which differ in the length of addresses alone. */
function readRecords(
  buffer: Buffer,
  at: number,
  end: number,
  { groupBytes, groupOf }: RecordLayout,
): MembershipMessage {
  const joins: MacAddress[] = [];
  const leaves: MacAddress[] = [];
  const records = buffer.readUInt16BE(at + 6);
  let offset = at + 8;
  for (let record = 0; record < records && offset + 4 + groupBytes <= end; record += 1) {
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
