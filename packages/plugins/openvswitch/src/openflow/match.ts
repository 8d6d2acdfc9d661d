import { isIPv4 } from "node:net";
import { OpenFlowError } from "./openflow-error.ts";

/** Fields that a flow can look at: OpenFlow's own (1.3.5, 7.2.3.7) and Open vSwitch's registers and fragment bits (ovs-fields(7)). */
export type FieldName =
  | "inPort"
  | "ethDst"
  | "ethSrc"
  | "ethType"
  | "vlanVid"
  | "ipProto"
  | "ipv4Src"
  | "ipv4Dst"
  | "tcpSrc"
  | "tcpDst"
  | "udpSrc"
  | "udpDst"
  | "sctpSrc"
  | "sctpDst"
  | "ipv6Src"
  | "ipv6Dst"
  | "ipFrag"
  | "reg0"
  | "reg1"
  | "reg2"
  | "reg3";

interface Field {
  readonly class: 0x8000 | 0x0001;
  readonly number: number;
  /** In octets. */
  readonly width: number;
}

const fields: Readonly<Record<FieldName, Field>> = {
  inPort: { class: 0x8000, number: 0, width: 4 },
  ethDst: { class: 0x8000, number: 3, width: 6 },
  ethSrc: { class: 0x8000, number: 4, width: 6 },
  ethType: { class: 0x8000, number: 5, width: 2 },
  /** With bit 12 set for a frame that has a tag; 0 for one that has none. */
  vlanVid: { class: 0x8000, number: 6, width: 2 },
  ipProto: { class: 0x8000, number: 10, width: 1 },
  ipv4Src: { class: 0x8000, number: 11, width: 4 },
  ipv4Dst: { class: 0x8000, number: 12, width: 4 },
  tcpSrc: { class: 0x8000, number: 13, width: 2 },
  tcpDst: { class: 0x8000, number: 14, width: 2 },
  udpSrc: { class: 0x8000, number: 15, width: 2 },
  udpDst: { class: 0x8000, number: 16, width: 2 },
  sctpSrc: { class: 0x8000, number: 17, width: 2 },
  sctpDst: { class: 0x8000, number: 18, width: 2 },
  ipv6Src: { class: 0x8000, number: 26, width: 16 },
  ipv6Dst: { class: 0x8000, number: 27, width: 16 },
  /** Bit 0: a fragment; bit 1: not the first one. */
  ipFrag: { class: 0x0001, number: 26, width: 1 },
  reg0: { class: 0x0001, number: 0, width: 4 },
  reg1: { class: 0x0001, number: 1, width: 4 },
  reg2: { class: 0x0001, number: 2, width: 4 },
  reg3: { class: 0x0001, number: 3, width: 4 },
};

/** What one field must be, in the bits of the mask. */
export interface FieldMatch {
  readonly field: FieldName;
  readonly value: bigint;
  /** All bits where it is absent. */
  readonly mask?: bigint;
}

/** All that a frame must be; empty for every frame. */
export type Match = readonly FieldMatch[];

// Prerequisites come before what needs them, and one order makes equal matches equal octets.
const order = Object.keys(fields) as readonly FieldName[];
const rank = new Map(order.map((name, at) => [name, at]));

/** The width of a field, in bits. */
export function bitsOf(field: FieldName): number {
  return fields[field].width * 8;
}

/** A MAC address as a field's value. */
export function macValue(mac: string): bigint {
  return BigInt(`0x${mac.replaceAll(":", "")}`);
}

/** An IP address as a field's value. */
export function addressValue(address: string): bigint {
  if (isIPv4(address)) return address.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const mapped = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  if (mapped !== null) {
    const low = addressValue(mapped[2] ?? "0.0.0.0");
    return addressValue(`${mapped[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  }
  const [head = "", tail] = address.split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const middle = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  return [...before, ...middle, ...after].reduce((sum, group) => (sum << 16n) + BigInt(`0x${group}`), 0n);
}

/** One field as OXM (OpenFlow 1.3.5, 7.2.3.2). */
export function encodeField({ field, value, mask }: FieldMatch): Buffer {
  const { class: oxmClass, number, width } = fields[field];
  const all = (1n << BigInt(width * 8)) - 1n;
  const bits = mask ?? all;
  if (value < 0n || value > all || bits < 0n || bits > all) {
    throw new OpenFlowError(
      "OPENFLOW_INVALID_ARGUMENT",
      `field '${field}' has ${width} octets, and ${value} is beyond`,
    );
  }
  const hasMask = bits !== all;
  const header = Buffer.alloc(4);
  header.writeUInt16BE(oxmClass, 0);
  header.writeUInt8((number << 1) | (hasMask ? 1 : 0), 2);
  header.writeUInt8(hasMask ? width * 2 : width, 3);
  // What the mask leaves out must be 0 (OFPBMC_BAD_WILDCARDS).
  return Buffer.concat([header, octets(value & bits, width), ...(hasMask ? [octets(bits, width)] : [])]);
}

/** A match as it is sent: its header, its fields, and the padding to 8 octets. */
export function encodeMatch(match: Match): Buffer {
  // A mask without bits says nothing.
  const said = match.filter(({ mask }) => mask !== 0n);
  const sorted = said.sort((a, b) => (rank.get(a.field) ?? 0) - (rank.get(b.field) ?? 0));
  const body = Buffer.concat(sorted.map(encodeField));
  const length = 4 + body.length;
  const header = Buffer.alloc(4);
  header.writeUInt16BE(1, 0);
  header.writeUInt16BE(length, 2);
  return Buffer.concat([header, body, Buffer.alloc(padding(length))]);
}

/** How many octets are missing to a multiple of 8. */
export function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}

function octets(value: bigint, width: number): Buffer {
  return Buffer.from(value.toString(16).padStart(width * 2, "0"), "hex");
}
