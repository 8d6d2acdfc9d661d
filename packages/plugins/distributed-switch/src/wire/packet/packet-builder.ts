import type { MacAddress } from "../../dataplane/mac-address.ts";
import { WireError } from "../wire-error.ts";
import { internetChecksum, transportChecksum } from "./internet-checksum.ts";
import { ipAddressBytes } from "./ip-address.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, PROTOCOL_UDP } from "./packet-headers.ts";

export interface EthernetOptions {
  readonly destinationMac: MacAddress;
  readonly sourceMac: MacAddress;
  /** Tag control information of an 802.1Q tag: the VLAN, and the priority in the upper three bits. Without it the frame is untagged. */
  readonly tag?: number | undefined;
}

/** An Ethernet frame around a payload. Short frames are not padded. */
export function ethernetFrame(etherType: number, payload: Uint8Array, options: EthernetOptions): Buffer {
  const { destinationMac, sourceMac, tag } = options;
  const header = Buffer.alloc(tag === undefined ? 14 : 18);
  header.writeUIntBE(destinationMac, 0, 6);
  header.writeUIntBE(sourceMac, 6, 6);
  if (tag !== undefined) {
    header.writeUInt16BE(ETHERTYPE_VLAN, 12);
    header.writeUInt16BE(tag, 14);
  }
  header.writeUInt16BE(etherType, header.length - 2);
  return Buffer.concat([header, payload]);
}

export interface IpPacketOptions {
  /** Literal addresses of one family, which makes the packet's. */
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** Defaults to `64`. */
  readonly hopLimit?: number | undefined;
  /** Defaults to `0`. */
  readonly dscp?: number | undefined;
  /** IPv4's identification. Defaults to `0`, which goes with "don't fragment" (RFC 6864). */
  readonly id?: number | undefined;
}

/** An IPv4 packet that must not be fragmented, or an IPv6 packet. Throws `INVALID_ARGUMENT` when the addresses differ in family. */
export function ipPacket(payload: Uint8Array, options: IpPacketOptions): { packet: Buffer; etherType: number } {
  const source = ipAddressBytes(options.source);
  const destination = ipAddressBytes(options.destination);
  const { protocol, hopLimit = 64, dscp = 0, id = 0 } = options;
  if (source.length !== destination.length) {
    throw new WireError("INVALID_ARGUMENT", `'${options.source}' and '${options.destination}' differ in family`);
  }
  if (payload.length > 65515) throw new WireError("INVALID_ARGUMENT", `a payload of ${payload.length} octets`);
  if (source.length === 16) {
    const header = Buffer.alloc(40);
    header.writeUInt32BE(0x6000_0000 + dscp * 0x40_0000, 0);
    header.writeUInt16BE(payload.length, 4);
    header.writeUInt8(protocol, 6);
    header.writeUInt8(hopLimit, 7);
    return {
      packet: Buffer.concat([header.fill(source, 8, 24).fill(destination, 24), payload]),
      etherType: ETHERTYPE_IPV6,
    };
  }
  const header = Buffer.alloc(20);
  header.writeUInt16BE(0x4500 + dscp * 4, 0);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(id, 4);
  header.writeUInt16BE(0x4000, 6);
  header.writeUInt8(hopLimit, 8);
  header.writeUInt8(protocol, 9);
  header.set(source, 12);
  header.set(destination, 16);
  header.writeUInt16BE(internetChecksum(header), 10);
  return { packet: Buffer.concat([header, payload]), etherType: ETHERTYPE_IPV4 };
}

export interface UdpOptions extends Omit<IpPacketOptions, "protocol"> {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A UDP datagram with a right checksum, in an IP packet. */
export function udpPacket(payload: Uint8Array, options: UdpOptions): { packet: Buffer; etherType: number } {
  const datagram = Buffer.alloc(8 + payload.length);
  datagram.writeUInt16BE(options.sourcePort, 0);
  datagram.writeUInt16BE(options.destinationPort, 2);
  datagram.writeUInt16BE(datagram.length, 4);
  datagram.set(payload, 8);
  const [source, destination] = [ipAddressBytes(options.source), ipAddressBytes(options.destination)];
  // A sum of 0 is sent as its other form, for 0 says that there is no checksum (RFC 768).
  datagram.writeUInt16BE(transportChecksum(datagram, { source, destination, protocol: PROTOCOL_UDP }) || 0xffff, 6);
  return ipPacket(datagram, { ...options, protocol: PROTOCOL_UDP });
}

/** {@link udpPacket} in an Ethernet frame. */
export function udpFrame(payload: Uint8Array, options: UdpOptions & EthernetOptions): Buffer {
  const { packet, etherType } = udpPacket(payload, options);
  return ethernetFrame(etherType, packet, options);
}

export interface ArpOptions {
  readonly operation: "request" | "reply";
  readonly senderMac: MacAddress;
  readonly senderAddress: string;
  /** Defaults to `0`, as in a request. */
  readonly targetMac?: MacAddress | undefined;
  readonly targetAddress: string;
}

/** An ARP packet (RFC 826) in a frame of the least length, 60 octets. */
export function arpFrame(arp: ArpOptions, ethernet: EthernetOptions): Buffer {
  const packet = Buffer.alloc(46);
  packet.writeUInt32BE(0x0001_0800, 0);
  packet.writeUInt16BE(0x0604, 4);
  packet.writeUInt16BE(arp.operation === "request" ? 1 : 2, 6);
  packet.writeUIntBE(arp.senderMac, 8, 6);
  packet.set(ipAddressBytes(arp.senderAddress).subarray(0, 4), 14);
  packet.writeUIntBE(arp.targetMac ?? 0, 18, 6);
  packet.set(ipAddressBytes(arp.targetAddress).subarray(0, 4), 24);
  return ethernetFrame(ETHERTYPE_ARP, packet, ethernet);
}
