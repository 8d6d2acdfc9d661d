import { ETHERNET_HEADER_BYTES } from "./ethernet-frame.ts";

/** The header of RFC 7348, section 5: 8 flag bits, 24 reserved, 24 bits of VNI, 8 reserved. */
export const VXLAN_HEADER_BYTES = 8;
/** The largest VXLAN network identifier. */
export const MAX_VNI = 0xff_ffff;

const FLAG_VNI_VALID = 0x08;
const UDP_HEADER_BYTES = 8;

/** The header for a VNI. */
export function vxlanHeader(vni: number): Buffer {
  const header = Buffer.alloc(VXLAN_HEADER_BYTES);
  header.writeUInt8(FLAG_VNI_VALID, 0);
  header.writeUIntBE(vni, 4, 3);
  return header;
}

/**
 * The VNI of a datagram; undefined when it is too short to carry an Ethernet header, or its I flag is unset. Reserved bits are ignored,
 * as the RFC asks.
 */
export function readVxlanVni(datagram: Buffer): number | undefined {
  if (datagram.length < VXLAN_HEADER_BYTES + ETHERNET_HEADER_BYTES) return undefined;
  if ((datagram.readUInt8(0) & FLAG_VNI_VALID) === 0) return undefined;
  return datagram.readUIntBE(4, 3);
}

/** What a tunnel adds to an inner payload: inner Ethernet, VXLAN, UDP and outer IP header; 50 octets over IPv4, 70 over IPv6. */
export function vxlanOverhead(family: 4 | 6): number {
  return ETHERNET_HEADER_BYTES + VXLAN_HEADER_BYTES + UDP_HEADER_BYTES + (family === 4 ? 20 : 40);
}
