/** Who speaks IPv4 over Ethernet. */
export interface Station {
  readonly mac: string;
  readonly address: string;
}

/** An ICMP echo (RFC 792), or its reply. */
export interface Echo {
  readonly kind: "request" | "reply";
  readonly identifier: number;
  readonly sequence: number;
}

/** A UDP datagram (RFC 768). */
export interface Datagram {
  readonly from: string;
  readonly source: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

const etherTypeIpv4 = 0x0800;
const headerBytes = 14 + 20;

/** The frame that asks a station for an echo. */
export function echoRequest(
  from: Station,
  to: Station,
  { identifier, sequence }: { readonly identifier: number; readonly sequence: number },
): Buffer {
  const message = Buffer.alloc(26);
  message.writeUInt8(8, 0);
  message.writeUInt16BE(identifier, 4);
  message.writeUInt16BE(sequence, 6);
  message.writeUInt16BE(checksum(message), 2);
  return packet(from, to, 1, message);
}

/** The echo that a frame asks for, or is the reply of; undefined for any other frame. */
export function readEcho(frame: Buffer): Echo | undefined {
  if (!isPacket(frame, 1)) return undefined;
  const type = frame.readUInt8(headerBytes);
  if (type !== 8 && type !== 0) return undefined;
  return {
    kind: type === 8 ? "request" : "reply",
    identifier: frame.readUInt16BE(headerBytes + 4),
    sequence: frame.readUInt16BE(headerBytes + 6),
  };
}

/** The frame of a datagram; without a checksum, which UDP over IPv4 allows. */
export function datagramFrame(
  from: Station,
  to: Station,
  {
    sourcePort,
    destinationPort,
    payload,
  }: { readonly sourcePort: number; readonly destinationPort: number; readonly payload: Buffer },
): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return packet(from, to, 17, Buffer.concat([header, payload]));
}

/** The datagram in a frame; undefined for any other frame. */
export function readDatagram(frame: Buffer): Datagram | undefined {
  if (!isPacket(frame, 17)) return undefined;
  return {
    from: frame.toString("hex", 6, 12).replace(/(..)(?=.)/g, "$1:"),
    source: [...frame.subarray(26, 30)].join("."),
    sourcePort: frame.readUInt16BE(headerBytes),
    destinationPort: frame.readUInt16BE(headerBytes + 2),
    payload: frame.subarray(headerBytes + 8, headerBytes + frame.readUInt16BE(headerBytes + 4)),
  };
}

/** Whether a frame is the announcement of a NIC by reverse ARP (RFC 903, ethertype 0x8035), as QEMU sends it for a VM that came here. */
export function isReverseArp(frame: Buffer): boolean {
  return frame.length >= headerBytes && frame.readUInt16BE(12) === 0x8035;
}

/** An IPv4 header without options, as all of these stations write it. */
function isPacket(frame: Buffer, protocol: number): boolean {
  const isIpv4 = frame.length >= headerBytes + 8 && frame.readUInt16BE(12) === etherTypeIpv4;
  return isIpv4 && frame.readUInt8(14) === 0x45 && frame.readUInt8(23) === protocol;
}

function packet(from: Station, to: Station, protocol: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  Buffer.from([...from.address.split("."), ...to.address.split(".")].map(Number)).copy(header, 12);
  header.writeUInt16BE(checksum(header), 10);
  const ethernet = Buffer.from(`${to.mac}${from.mac}0800`.replaceAll(":", ""), "hex");
  return Buffer.concat([ethernet, header, payload]);
}

/** RFC 1071, of an even number of octets. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
