import { isIPv4, isIPv6 } from "node:net";
import { OpenFlowError } from "../openflow-error.ts";

/** Fields that a flow can look at: OpenFlow's own (1.3.5, 7.2.3.7) and Open vSwitch's registers and fragment bits (ovs-fields(7)). */
export type FieldName =
  | "inPort"
  | "metadata"
  | "ethDst"
  | "ethSrc"
  | "ethType"
  | "vlanVid"
  | "vlanPcp"
  | "ipDscp"
  | "ipEcn"
  | "ipProto"
  | "ipv4Src"
  | "ipv4Dst"
  | "tcpSrc"
  | "tcpDst"
  | "udpSrc"
  | "udpDst"
  | "sctpSrc"
  | "sctpDst"
  | "icmpv4Type"
  | "icmpv4Code"
  | "arpOp"
  | "arpSpa"
  | "arpTpa"
  | "arpSha"
  | "arpTha"
  | "ipv6Src"
  | "ipv6Dst"
  | "icmpv6Type"
  | "icmpv6Code"
  | "tunnelId"
  | "ipFrag"
  | "reg0"
  | "reg1"
  | "reg2"
  | "reg3"
  | "reg4"
  | "reg5"
  | "reg6"
  | "reg7";

interface Field {
  readonly class: 0x8000 | 0x0001;
  readonly number: number;
  /** In octets. */
  readonly width: number;
}

const openFlow = (number: number, width: number): Field => ({ class: 0x8000, number, width });
const openVswitch = (number: number, width: number): Field => ({ class: 0x0001, number, width });

// A field comes after those that it needs: a match is written in this order.
const fields: Readonly<Record<FieldName, Field>> = {
  inPort: openFlow(0, 4),
  metadata: openFlow(2, 8),
  ethDst: openFlow(3, 6),
  ethSrc: openFlow(4, 6),
  ethType: openFlow(5, 2),
  /** With bit 12 set for a frame that has a tag; 0 for one that has none. */
  vlanVid: openFlow(6, 2),
  vlanPcp: openFlow(7, 1),
  ipDscp: openFlow(8, 1),
  ipEcn: openFlow(9, 1),
  ipProto: openFlow(10, 1),
  ipv4Src: openFlow(11, 4),
  ipv4Dst: openFlow(12, 4),
  tcpSrc: openFlow(13, 2),
  tcpDst: openFlow(14, 2),
  udpSrc: openFlow(15, 2),
  udpDst: openFlow(16, 2),
  sctpSrc: openFlow(17, 2),
  sctpDst: openFlow(18, 2),
  icmpv4Type: openFlow(19, 1),
  icmpv4Code: openFlow(20, 1),
  arpOp: openFlow(21, 2),
  arpSpa: openFlow(22, 4),
  arpTpa: openFlow(23, 4),
  arpSha: openFlow(24, 6),
  arpTha: openFlow(25, 6),
  ipv6Src: openFlow(26, 16),
  ipv6Dst: openFlow(27, 16),
  icmpv6Type: openFlow(29, 1),
  icmpv6Code: openFlow(30, 1),
  tunnelId: openFlow(38, 8),
  /** Bit 0: a fragment; bit 1: not the first one. */
  ipFrag: openVswitch(26, 1),
  reg0: openVswitch(0, 4),
  reg1: openVswitch(1, 4),
  reg2: openVswitch(2, 4),
  reg3: openVswitch(3, 4),
  reg4: openVswitch(4, 4),
  reg5: openVswitch(5, 4),
  reg6: openVswitch(6, 4),
  reg7: openVswitch(7, 4),
};

const names = Object.keys(fields) as readonly FieldName[];
const rank: ReadonlyMap<FieldName, number> = new Map(names.map((name, at) => [name, at]));
const byNumber: ReadonlyMap<number, FieldName> = new Map(
  names.map((name) => [(fields[name].class << 7) | fields[name].number, name]),
);

/** How a field is told in a message (OpenFlow 1.3.5, 7.2.3.2). */
export function fieldCode(name: FieldName): Field {
  return fields[name];
}

/** The field of a class and a number; undefined for one that is not known here. */
export function fieldNamed(oxmClass: number, number: number): FieldName | undefined {
  return byNumber.get((oxmClass << 7) | number);
}

/** Puts fields in the order in which each follows those that it needs. */
export function byPrerequisites(a: FieldName, b: FieldName): number {
  return (rank.get(a) ?? 0) - (rank.get(b) ?? 0);
}

/** The width of a field, in bits. */
export function bitsOf(field: FieldName): number {
  return fields[field].width * 8;
}

/**
 * A MAC address, `52:54:00:00:00:01`, as a field's value.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT`
 */
export function macValue(mac: string): bigint {
  if (!/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(mac)) throw notAnAddress(mac);
  return BigInt(`0x${mac.replaceAll(":", "")}`);
}

/**
 * An IP address, of either version, as a field's value.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT`
 */
export function addressValue(address: string): bigint {
  if (isIPv4(address)) return address.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  if (!isIPv6(address) || address.includes("%")) throw notAnAddress(address);
  const mapped = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  if (mapped !== null) {
    const low = addressValue(mapped[2] ?? "");
    return addressValue(`${mapped[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  }
  const [head = "", tail] = address.split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const middle = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  return [...before, ...middle, ...after].reduce((sum, group) => (sum << 16n) + BigInt(`0x${group}`), 0n);
}

function notAnAddress(text: string): OpenFlowError {
  return new OpenFlowError("OPENFLOW_INVALID_ARGUMENT", `'${text}' is no address that a field can have`);
}
