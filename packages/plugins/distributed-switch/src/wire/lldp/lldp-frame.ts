import { formatMac, type MacAddress, parseMac } from "../../dataplane/mac-address.ts";
import { formatIpAddress, ipAddressBytes } from "../packet/ip-address.ts";
import { ethernetFrame } from "../packet/packet-builder.ts";
import { WireError } from "../wire-error.ts";

export const ETHERTYPE_LLDP = 0x88cc;
/** The nearest bridge: no bridge forwards it (IEEE 802.1AB-2016 table 7-1). */
export const LLDP_NEAREST_BRIDGE: MacAddress = 0x0180_c200_000e;
export const MAX_TTL_SECONDS = 65_535;

/** What the system does (IEEE 802.1AB-2016 table 8-4), in the order of their bits. */
export const LLDP_CAPABILITIES = [
  "other",
  "repeater",
  "bridge",
  "wlanAccessPoint",
  "router",
  "telephone",
  "docsis",
  "station",
  "cVlan",
  "sVlan",
  "twoPortMacRelay",
] as const;
export type LldpCapability = (typeof LLDP_CAPABILITIES)[number];

/** A chassis or port id. `mac` and `address` are in their usual text form; ids of other subtypes are hexadecimal under `other`. */
export type LldpId =
  | { readonly kind: "mac" | "address" | "interfaceName" | "local"; readonly value: string }
  | { readonly kind: "other"; readonly subtype: number; readonly value: string };

export interface LldpManagementAddress {
  /** A literal IP address. */
  readonly address: string;
  /** The interface's index (ifIndex); 0 when it has none. */
  readonly interfaceIndex: number;
}

/** What an LLDP data unit says (IEEE 802.1AB-2016 clause 8). */
export interface LldpAdvertisement {
  readonly chassisId: LldpId;
  readonly portId: LldpId;
  /** How long it is to be believed; 0 withdraws it. */
  readonly ttlSeconds: number;
  readonly portDescription?: string | undefined;
  readonly systemName?: string | undefined;
  readonly systemDescription?: string | undefined;
  readonly capabilities?:
    | { readonly supported: readonly LldpCapability[]; readonly enabled: readonly LldpCapability[] }
    | undefined;
  readonly managementAddresses?: readonly LldpManagementAddress[] | undefined;
  /** IEEE 802.1 "Port VLAN ID": what untagged frames are of; 0 when the port has none. */
  readonly portVlan?: number | undefined;
  /** IEEE 802.3 "Maximum Frame Size": octets from the destination address to the FCS. */
  readonly maxFrameSize?: number | undefined;
}

/** TLV types (table 8-1), subtypes of ids (tables 8-2 and 8-3), organizations' codes with their subtypes. */
export const TLV = {
  end: 0,
  chassis: 1,
  port: 2,
  ttl: 3,
  portDescription: 4,
  name: 5,
  description: 6,
  capabilities: 7,
  management: 8,
  organization: 127,
} as const;
export const CHASSIS_SUBTYPES: Readonly<Record<Exclude<LldpId["kind"], "other">, number>> = {
  mac: 4,
  address: 5,
  interfaceName: 6,
  local: 7,
};
export const PORT_SUBTYPES: Readonly<Record<Exclude<LldpId["kind"], "other">, number>> = {
  mac: 3,
  address: 4,
  interfaceName: 5,
  local: 7,
};
/** 00-80-C2 subtype 1, and 00-12-0F subtype 4. */
export const ORG_PORT_VLAN = 0x0080_c201;
export const ORG_MAX_FRAME_SIZE = 0x0012_0f04;

const MAX_ID_BYTES = 255;
const MAX_TEXT_BYTES = 255;

/** The frame of an advertisement. Throws `INVALID_ARGUMENT` for an id that is empty or too long; other texts are cut at 255 octets. */
export function encodeLldp(advertisement: LldpAdvertisement, sourceMac: MacAddress): Buffer {
  const {
    chassisId,
    portId,
    ttlSeconds,
    capabilities,
    managementAddresses = [],
    portVlan,
    maxFrameSize,
  } = advertisement;
  if (!(ttlSeconds >= 0 && ttlSeconds <= MAX_TTL_SECONDS)) throw invalid(`a time to live of ${ttlSeconds} seconds`);
  const texts: (readonly [number, string | undefined])[] = [
    [TLV.portDescription, advertisement.portDescription],
    [TLV.name, advertisement.systemName],
    [TLV.description, advertisement.systemDescription],
  ];
  const parts = [
    tlv(TLV.chassis, idBytes(chassisId, CHASSIS_SUBTYPES)),
    tlv(TLV.port, idBytes(portId, PORT_SUBTYPES)),
    tlv(TLV.ttl, u16(Math.floor(ttlSeconds))),
  ];
  // A withdrawal says no more than whose (9.1.2.2).
  if (ttlSeconds > 0) {
    for (const [type, text] of texts)
      if (text !== undefined) parts.push(tlv(type, Buffer.from(text).subarray(0, MAX_TEXT_BYTES)));
    if (capabilities !== undefined) {
      parts.push(tlv(TLV.capabilities, Buffer.concat([bits(capabilities.supported), bits(capabilities.enabled)])));
    }
    for (const each of managementAddresses) parts.push(tlv(TLV.management, managementBytes(each)));
    if (portVlan !== undefined) parts.push(tlv(TLV.organization, organization(ORG_PORT_VLAN, portVlan)));
    if (maxFrameSize !== undefined) parts.push(tlv(TLV.organization, organization(ORG_MAX_FRAME_SIZE, maxFrameSize)));
  }
  parts.push(tlv(TLV.end, Buffer.alloc(0)));
  const unit = Buffer.concat(parts);
  const padded = Buffer.concat([unit, Buffer.alloc(Math.max(0, 46 - unit.length))]);
  return ethernetFrame(ETHERTYPE_LLDP, padded, { sourceMac, destinationMac: LLDP_NEAREST_BRIDGE });
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([u16((type << 9) | value.length), value]);
}

function u16(value: number): Buffer {
  return Buffer.from([(value >>> 8) & 0xff, value & 0xff]);
}

function bits(names: readonly LldpCapability[]): Buffer {
  return u16(names.reduce((sum, name) => sum | (1 << LLDP_CAPABILITIES.indexOf(name)), 0));
}

function organization(code: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt32BE(code, 0);
  bytes.writeUInt16BE(Math.min(value, 0xffff), 4);
  return bytes;
}

function idBytes(id: LldpId, subtypes: Readonly<Record<string, number>>): Buffer {
  const value = idValue(id);
  if (value.length === 0 || value.length > MAX_ID_BYTES)
    throw invalid(`the id '${id.value}' of ${value.length} octets`);
  return Buffer.concat([Buffer.from([id.kind === "other" ? id.subtype : (subtypes[id.kind] ?? 7)]), value]);
}

function idValue({ kind, value }: LldpId): Buffer {
  if (kind === "other") return Buffer.from(value, "hex");
  if (kind === "address") return addressWithFamily(value);
  if (kind !== "mac") return Buffer.from(value);
  const mac = parseMac(value);
  if (mac === undefined) throw invalid(`the MAC address '${value}'`);
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(mac, 0, 6);
  return bytes;
}

/** IANA's address family numbers: 1 is IPv4, 2 is IPv6. */
function addressWithFamily(text: string): Buffer {
  const bytes = ipAddressBytes(text);
  return Buffer.concat([Buffer.from([bytes.length === 4 ? 1 : 2]), bytes]);
}

function managementBytes({ address, interfaceIndex }: LldpManagementAddress): Buffer {
  const bytes = addressWithFamily(address);
  const rest = Buffer.alloc(6);
  // Numbering: 2 is ifIndex, 1 is unknown. No object identifier.
  rest.writeUInt8(interfaceIndex === 0 ? 1 : 2, 0);
  rest.writeUInt32BE(interfaceIndex, 1);
  return Buffer.concat([Buffer.from([bytes.length]), bytes, rest]);
}

/** The text of an address that stands behind its family; undefined when it is neither IPv4 nor IPv6. */
export function readAddressWithFamily(bytes: Buffer): string | undefined {
  const address = bytes.subarray(1);
  const right = (bytes[0] === 1 && address.length === 4) || (bytes[0] === 2 && address.length === 16);
  return right ? formatIpAddress(address) : undefined;
}

/** An id's text form. */
export function readId(bytes: Buffer, subtypes: Readonly<Record<Exclude<LldpId["kind"], "other">, number>>): LldpId {
  const subtype = bytes[0] ?? 0;
  const value = bytes.subarray(1);
  if (subtype === subtypes.mac && value.length === 6) return { kind: "mac", value: formatMac(value.readUIntBE(0, 6)) };
  if (subtype === subtypes.interfaceName) return { kind: "interfaceName", value: value.toString() };
  if (subtype === subtypes.local) return { kind: "local", value: value.toString() };
  const address = subtype === subtypes.address ? readAddressWithFamily(value) : undefined;
  if (address !== undefined) return { kind: "address", value: address };
  return { kind: "other", subtype, value: value.toString("hex") };
}

function invalid(what: string): WireError {
  return new WireError("INVALID_ARGUMENT", `${what} can't be advertised by LLDP`);
}
