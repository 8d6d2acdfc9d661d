import type { MacAddress } from "../../dataplane/mac-address.ts";
import { WireError } from "../wire-error.ts";
import { ipAddressBytes } from "../packet/ip-address.ts";
import { type ElementName, INFORMATION_ELEMENTS, VARIABLE_LENGTH } from "./information-element.ts";
import { FLOW_TEMPLATES, type IpfixTemplate } from "./ipfix-template.ts";

/** What the frames of a flow have in common. */
export interface FlowKey {
  readonly sourceMac: MacAddress;
  readonly destinationMac: MacAddress;
  /** `0` for none. */
  readonly vlan: number;
  readonly etherType: number;
  /** 4 or 16 octets, or the literal address; both addresses or none. */
  readonly sourceAddress?: Uint8Array | string | undefined;
  readonly destinationAddress?: Uint8Array | string | undefined;
  readonly protocol?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
}

/** Why a flow is reported: nothing came for a while; it is long; its end was seen; it was asked for; there was no room for more flows. */
export type FlowEndReason = "idle" | "active" | "end" | "forced" | "lackOfResources";

/** A flow, or what came to it since it was last reported. */
export interface FlowRecord {
  readonly key: FlowKey;
  readonly portKey: string;
  /** `in` came from the port's NIC into the switch, `out` was sent to it. */
  readonly direction: "in" | "out";
  readonly packets: number;
  /** Of the frames, from the destination address on, the 802.1Q tag not counted. */
  readonly octets: number;
  /** Of the first and last frame, in milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly reason: FlowEndReason;
}

/** RFC 5102's numbers of flowEndReason. */
const REASONS: Record<FlowEndReason, number> = { idle: 1, active: 2, end: 3, forced: 4, lackOfResources: 5 };
const ETHERNET_HEADER = 14;

/** The template that a flow's record is of. */
export function templateOf({ key }: FlowRecord): IpfixTemplate {
  if (key.sourceAddress === undefined || key.destinationAddress === undefined) return FLOW_TEMPLATES.ethernet;
  return addressBytes(key.sourceAddress).length === 4 ? FLOW_TEMPLATES.ipv4 : FLOW_TEMPLATES.ipv6;
}

/**
 * A flow's record; `portNumber` stands for its port. Throws `INVALID_ARGUMENT` when its addresses differ in family, or a number in it
 * is none.
 */
export function encodeFlowRecord(flow: FlowRecord, portNumber: number): Buffer {
  const { key, direction, packets, octets } = flow;
  const { sourceAddress: from, destinationAddress: to } = key;
  const [source, destination] = [addressBytes(from ?? ""), addressBytes(to ?? "")];
  if (source.length !== destination.length) {
    throw new WireError("INVALID_ARGUMENT", "a flow's addresses differ in family");
  }
  const values: Partial<Record<ElementName, ElementValue>> = {
    sourceMacAddress: key.sourceMac,
    destinationMacAddress: key.destinationMac,
    vlanId: key.vlan,
    ethernetType: key.etherType,
    sourceIPv4Address: source,
    destinationIPv4Address: destination,
    sourceIPv6Address: source,
    destinationIPv6Address: destination,
    protocolIdentifier: key.protocol ?? 0,
    sourceTransportPort: key.sourcePort ?? 0,
    destinationTransportPort: key.destinationPort ?? 0,
    ingressInterface: direction === "in" ? portNumber : 0,
    egressInterface: direction === "out" ? portNumber : 0,
    flowDirection: direction === "in" ? 0 : 1,
    flowEndReason: REASONS[flow.reason],
    packetDeltaCount: packets,
    layer2OctetDeltaCount: octets,
    // Octets of IP packets: what the frames have without their Ethernet headers.
    octetDeltaCount: Math.max(0, octets - packets * ETHERNET_HEADER),
    flowStartMilliseconds: flow.startMs,
    flowEndMilliseconds: flow.endMs,
  };
  return encodeRecord(templateOf(flow), values);
}

export type ElementValue = number | string | Uint8Array;

/** A record of a template. Throws `INVALID_ARGUMENT` for a value that doesn't fit its element; a text is cut at 1024 octets. */
export function encodeRecord(template: IpfixTemplate, values: Partial<Record<ElementName, ElementValue>>): Buffer {
  return Buffer.concat(template.elements.map((name) => encodeValue(name, values[name] ?? 0)));
}

function encodeValue(name: ElementName, value: ElementValue): Buffer {
  const { length } = INFORMATION_ELEMENTS[name];
  if (length === VARIABLE_LENGTH) return variable(Buffer.from(String(value)).subarray(0, 1024));
  if (typeof value === "object") {
    if (value.length === length) return Buffer.from(value);
  } else if (typeof value === "number" && Number.isFinite(value) && value >= 0) {
    const whole = Math.floor(value);
    const bytes = Buffer.alloc(length);
    if (length === 8) {
      bytes.writeBigUInt64BE(BigInt(whole));
      return bytes;
    }
    if (whole < 2 ** (length * 8)) {
      bytes.writeUIntBE(whole, 0, length);
      return bytes;
    }
  }
  throw new WireError("INVALID_ARGUMENT", `'${String(value)}' is no value of '${name}'`);
}

/** RFC 7011 section 7: one octet of length, or 255 and two. */
function variable(bytes: Buffer): Buffer {
  const { length } = bytes;
  return Buffer.concat([Buffer.from(length < 255 ? [length] : [255, length >>> 8, length & 0xff]), bytes]);
}

function addressBytes(address: Uint8Array | string): Uint8Array {
  if (typeof address === "object") return address;
  return address === "" ? new Uint8Array(0) : ipAddressBytes(address);
}
