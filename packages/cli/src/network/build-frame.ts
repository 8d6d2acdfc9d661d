import { isIPv4 } from "node:net";
import { usageError } from "../failure/failure.ts";

/** What a frame is to be like. */
export interface FrameRecipe {
  readonly to: string;
  readonly from: string;
  /** An 802.1Q tag. */
  readonly vlan?: number;
  readonly sourceIp?: string;
  readonly destinationIp?: string;
  readonly protocol?: "tcp" | "udp" | "icmp";
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

const protocols = { icmp: 1, tcp: 6, udp: 17 } as const;

/** An Ethernet frame of 60 bytes or more: IPv4 where an address is said, else without a payload that means anything. */
export function buildFrame(recipe: FrameRecipe): Buffer {
  const { to, from, vlan, sourceIp, destinationIp, protocol } = recipe;
  const parts = [macBytes(to), macBytes(from)];
  if (vlan !== undefined) {
    if (!Number.isInteger(vlan) || vlan < 0 || vlan > 4095) throw usageError(`'${vlan}' is no VLAN from 0 to 4095`);
    parts.push(Buffer.from([0x81, 0x00, vlan >> 8, vlan & 0xff]));
  }
  const ip = sourceIp !== undefined || destinationIp !== undefined || protocol !== undefined;
  // IEEE 802 Local Experimental Ethertype 1 where nothing is said.
  parts.push(Buffer.from(ip ? [0x08, 0x00] : [0x88, 0xb5]));
  if (ip) parts.push(ipv4Packet(recipe));
  const frame = Buffer.concat(parts);
  return frame.length >= 60 ? frame : Buffer.concat([frame, Buffer.alloc(60 - frame.length)]);
}

function ipv4Packet(recipe: FrameRecipe): Buffer {
  const { sourceIp = "192.0.2.1", destinationIp = "192.0.2.2", protocol = "udp" } = recipe;
  const { sourcePort = 49152, destinationPort = 7 } = recipe;
  const payload = Buffer.alloc(protocol === "tcp" ? 20 : 8);
  if (protocol === "icmp") {
    payload[0] = 8;
    payload.writeUInt16BE(checksum(payload), 2);
  } else {
    payload.writeUInt16BE(portNumber(sourcePort), 0);
    payload.writeUInt16BE(portNumber(destinationPort), 2);
    if (protocol === "udp") payload.writeUInt16BE(payload.length, 4);
    // Data offset of five words, and SYN.
    else payload.writeUInt16BE(0x5002, 12);
  }
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(header.length + payload.length, 2);
  header[8] = 64;
  header[9] = protocols[protocol];
  ipBytes(sourceIp).copy(header, 12);
  ipBytes(destinationIp).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** The internet checksum (RFC 1071) of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function portNumber(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff) return value;
  throw usageError(`'${value}' is no port from 0 to 65535`);
}

function ipBytes(text: string): Buffer {
  if (!isIPv4(text)) throw usageError(`'${text}' is no IPv4 address: give other frames with '--frame'`);
  return Buffer.from(text.split(".").map(Number));
}

function macBytes(text: string): Buffer {
  const hex = text.toLowerCase().replaceAll(/[:-]/g, "");
  if (!/^[0-9a-f]{12}$/.test(hex)) throw usageError(`'${text}' is no MAC address, such as 52:54:00:12:34:56`);
  return Buffer.from(hex, "hex");
}

/** Reads a frame that was written in hexadecimal digits; blanks and colons may be between them. */
export function parseFrame(text: string): Buffer {
  const hex = text.replaceAll(/[\s:]/g, "");
  if (!/^([0-9a-f]{2})+$/i.test(hex)) throw usageError("the frame is no row of hexadecimal digits, two for each byte");
  const frame = Buffer.from(hex, "hex");
  if (frame.length < 14) throw usageError(`a frame has at least 14 bytes, and this one ${frame.length}`);
  return frame;
}
