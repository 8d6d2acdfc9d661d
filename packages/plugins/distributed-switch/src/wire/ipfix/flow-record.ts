import { parseMac } from "../../dataplane/mac-address.ts";
import { WireError } from "../wire-error.ts";
import { type ElementName, INFORMATION_ELEMENTS, VARIABLE_LENGTH } from "./information-element.ts";
import { FLOW_TEMPLATES, type IpfixTemplate } from "./ipfix-template.ts";

/** Why a flow is told: RFC 5102 section 5.11.3. */
export type FlowEndReason = "idleTimeout" | "activeTimeout" | "endOfFlow" | "forcedEnd" | "lackOfResources";

/** A flow at one port in one direction, or what came to it since it was last told. As the data plane's flow table has it. */
export interface FlowRecord {
  readonly portKey: string;
  /** `in` came from the port's NIC into the switch, `out` was sent to it. */
  readonly direction: "in" | "out";
  readonly sourceMac: string;
  readonly destinationMac: string;
  /** `0` for none. */
  readonly vlan: number;
  readonly etherType: number;
  /** 4 or 16 octets; both addresses, or none when it isn't IP. */
  readonly sourceAddress?: Uint8Array | undefined;
  readonly destinationAddress?: Uint8Array | undefined;
  readonly protocol?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
  readonly packets: number;
  /** Of the frames, from the destination address on. */
  readonly octets: number;
  /** Of the first and last frame, in milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly endReason: FlowEndReason;
}

/** RFC 5102's numbers of flowEndReason. */
const REASONS: Record<FlowEndReason, number> = {
  idleTimeout: 1,
  activeTimeout: 2,
  endOfFlow: 3,
  forcedEnd: 4,
  lackOfResources: 5,
};
const ETHERNET_HEADER = 14;
const NONE: Uint8Array = new Uint8Array(0);

/** The template that a flow's record is of. */
export function templateOf({ sourceAddress }: FlowRecord): IpfixTemplate {
  if (sourceAddress === undefined) return FLOW_TEMPLATES.ethernet;
  return sourceAddress.length === 4 ? FLOW_TEMPLATES.ipv4 : FLOW_TEMPLATES.ipv6;
}

/**
 * A flow's record; `portNumber` stands for its port. Throws `INVALID_ARGUMENT` when its addresses differ in family, or something in it
 * is no value of its element.
 */
export function encodeFlowRecord(flow: FlowRecord, portNumber: number): Buffer {
  const { sourceAddress = NONE, destinationAddress = NONE, direction, packets, octets } = flow;
  if (sourceAddress.length !== destinationAddress.length) {
    throw new WireError("INVALID_ARGUMENT", "a flow's addresses differ in family");
  }
  const values: Partial<Record<ElementName, ElementValue>> = {
    sourceMacAddress: parseMac(flow.sourceMac) ?? Number.NaN,
    destinationMacAddress: parseMac(flow.destinationMac) ?? Number.NaN,
    vlanId: flow.vlan,
    ethernetType: flow.etherType,
    sourceIPv4Address: sourceAddress,
    destinationIPv4Address: destinationAddress,
    sourceIPv6Address: sourceAddress,
    destinationIPv6Address: destinationAddress,
    protocolIdentifier: flow.protocol ?? 0,
    sourceTransportPort: flow.sourcePort ?? 0,
    destinationTransportPort: flow.destinationPort ?? 0,
    ingressInterface: direction === "in" ? portNumber : 0,
    egressInterface: direction === "out" ? portNumber : 0,
    flowDirection: direction === "in" ? 0 : 1,
    flowEndReason: REASONS[flow.endReason],
    packetDeltaCount: packets,
    layer2OctetDeltaCount: octets,
    // Octets of IP packets: what the frames have without their Ethernet headers. Tags, which trunk ports have, are counted as if they were IP's.
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
