import { isIP } from "node:net";
import { parsePrefix } from "../src/dataplane/ip-prefix.ts";

/** IP packets for tests, in untagged Ethernet frames. */
export interface PacketOptions {
  readonly to: number;
  readonly from: number;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** What IP carries. */
  readonly payload?: Uint8Array;
  readonly fragmentOffset?: number;
  /** IPv6 extension headers, each with its number, before `protocol`. */
  readonly extensions?: readonly { readonly header: number; readonly bytes: Uint8Array }[];
  readonly trafficClass?: number;
}

export function addressBytes(text: string): Buffer {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`'${text}' is no address`);
  const bytes = Buffer.alloc(prefix.words.length * 4);
  for (const [index, word] of prefix.words.entries()) bytes.writeInt32BE(word, index * 4);
  return bytes;
}

export function ipFrame(options: PacketOptions): Buffer {
  const ethernet = Buffer.alloc(14);
  ethernet.writeUIntBE(options.to, 0, 6);
  ethernet.writeUIntBE(options.from, 6, 6);
  const ipv6 = isIP(options.source) === 6;
  ethernet.writeUInt16BE(ipv6 ? 0x86dd : 0x0800, 12);
  return Buffer.concat([ethernet, ipv6 ? ipv6Packet(options) : ipv4Packet(options)]);
}

/** The ports of TCP, UDP or SCTP, and some more octets. */
export function ports(source: number, destination: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(source, 0);
  bytes.writeUInt16BE(destination, 2);
  return bytes;
}

export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function ipv4Packet({ source, destination, protocol, payload, fragmentOffset, trafficClass }: PacketOptions): Buffer {
  const body = payload ?? Buffer.alloc(8);
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(trafficClass ?? 0, 1);
  header.writeUInt16BE(20 + body.length, 2);
  header.writeUInt16BE((fragmentOffset ?? 0) / 8, 6);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  header.set(addressBytes(source), 12);
  header.set(addressBytes(destination), 16);
  header.writeUInt16BE(internetChecksum(header), 10);
  return Buffer.concat([header, body]);
}

function ipv6Packet(options: PacketOptions): Buffer {
  const { source, destination, protocol, payload, fragmentOffset, trafficClass = 0 } = options;
  const chain = [...(options.extensions ?? [])].map(({ header, bytes }) => ({ header, bytes: Buffer.from(bytes) }));
  if (fragmentOffset !== undefined) {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16BE(fragmentOffset, 2);
    chain.push({ header: 44, bytes });
  }
  for (const [index, { bytes }] of chain.entries()) bytes.writeUInt8(chain[index + 1]?.header ?? protocol, 0);
  const body = Buffer.concat([...chain.map(({ bytes }) => bytes), payload ?? Buffer.alloc(8)]);
  const header = Buffer.alloc(40);
  header.writeUInt32BE(0x6000_0000 + trafficClass * 0x10_0000, 0);
  header.writeUInt16BE(body.length, 4);
  header.writeUInt8(chain[0]?.header ?? protocol, 6);
  header.writeUInt8(64, 7);
  header.set(addressBytes(source), 8);
  header.set(addressBytes(destination), 24);
  return Buffer.concat([header, body]);
}
