import { ETHERNET_HEADER_BYTES } from "../../dataplane/ethernet-frame.ts";
import { WireError } from "../wire-error.ts";
import {
  CHASSIS_SUBTYPES,
  ETHERTYPE_LLDP,
  LLDP_CAPABILITIES,
  type LldpAdvertisement,
  type LldpCapability,
  type LldpManagementAddress,
  ORG_MAX_FRAME_SIZE,
  ORG_PORT_VLAN,
  PORT_SUBTYPES,
  readAddressWithFamily,
  readId,
  TLV,
} from "./lldp-frame.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Whether a frame is LLDP's. */
export function isLldpFrame(frame: Buffer): boolean {
  return frame.length >= ETHERNET_HEADER_BYTES && frame.readUInt16BE(12) === ETHERTYPE_LLDP;
}

/**
 * Reads an LLDP frame by the rules of IEEE 802.1AB-2016 9.2.7.7: chassis id, port id and time to live come first and once each, lengths
 * are right, what comes after the end is padding. TLVs that are not known are passed over; a known one that may come once and comes
 * again doesn't count. Throws `MALFORMED` otherwise.
 */
export function decodeLldp(frame: Buffer): LldpAdvertisement {
  if (!isLldpFrame(frame)) throw malformed("another EtherType");
  const tlvs = readTlvs(frame);
  const [chassis, port, ttl] = tlvs;
  if (chassis?.type !== TLV.chassis || port?.type !== TLV.port || ttl?.type !== TLV.ttl) {
    throw malformed("chassis id, port id and time to live must come first");
  }
  for (const { value } of [chassis, port]) {
    if (value.length < 2 || value.length > 256) throw malformed(`an id of ${value.length} octets`);
  }
  if (ttl.value.length < 2) throw malformed("a time to live that is cut short");
  const advertisement: Mutable<LldpAdvertisement> & { managementAddresses: LldpManagementAddress[] } = {
    chassisId: readId(chassis.value, CHASSIS_SUBTYPES),
    portId: readId(port.value, PORT_SUBTYPES),
    ttlSeconds: ttl.value.readUInt16BE(),
    managementAddresses: [],
  };
  for (const { type, value } of tlvs.slice(3)) {
    if (type === TLV.chassis || type === TLV.port || type === TLV.ttl) throw malformed("a mandatory part comes twice");
    if (type === TLV.portDescription) advertisement.portDescription ??= value.toString();
    else if (type === TLV.name) advertisement.systemName ??= value.toString();
    else if (type === TLV.description) advertisement.systemDescription ??= value.toString();
    else if (type === TLV.capabilities && value.length >= 4) {
      advertisement.capabilities ??= { supported: names(value.readUInt16BE(0)), enabled: names(value.readUInt16BE(2)) };
    } else if (type === TLV.management) {
      const address = readManagement(value);
      if (address !== undefined) advertisement.managementAddresses.push(address);
    } else if (type === TLV.organization && value.length >= 6) {
      const code = value.readUInt32BE(0);
      if (code === ORG_PORT_VLAN) advertisement.portVlan ??= value.readUInt16BE(4);
      else if (code === ORG_MAX_FRAME_SIZE) advertisement.maxFrameSize ??= value.readUInt16BE(4);
    }
  }
  return advertisement;
}

interface Tlv {
  readonly type: number;
  readonly value: Buffer;
}

function readTlvs(frame: Buffer): Tlv[] {
  const tlvs: Tlv[] = [];
  for (let at = ETHERNET_HEADER_BYTES; at + 2 <= frame.length; ) {
    const head = frame.readUInt16BE(at);
    const type = head >>> 9;
    const end = at + 2 + (head & 0x1ff);
    if (end > frame.length) throw malformed(`a part of type ${type} at ${at} is cut short`);
    if (type === TLV.end) return tlvs;
    tlvs.push({ type, value: frame.subarray(at + 2, end) });
    at = end;
  }
  // The standard takes the end of the frame for the end of the unit.
  return tlvs;
}

function names(mask: number): LldpCapability[] {
  return LLDP_CAPABILITIES.filter((_, index) => (mask & (1 << index)) !== 0);
}

function readManagement(value: Buffer): LldpManagementAddress | undefined {
  const length = value[0] ?? 0;
  if (length < 2 || 1 + length + 5 > value.length) return undefined;
  const address = readAddressWithFamily(value.subarray(1, 1 + length));
  if (address === undefined) return undefined;
  const index = value.readUInt8(1 + length) === 2 ? value.readUInt32BE(2 + length) : 0;
  return { address, interfaceIndex: index };
}

function malformed(what: string): WireError {
  return new WireError("MALFORMED", `this is not an LLDP frame that can be read: ${what}`);
}
