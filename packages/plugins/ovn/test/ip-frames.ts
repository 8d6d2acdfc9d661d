/** A TCP or UDP packet over IPv4. */
export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: "tcp" | "udp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** TCP's flags; SYN is 2, SYN and ACK 18. */
  readonly flags?: number;
}

/** An Ethernet frame with an IPv4 packet, its checksums right: connection tracking looks at them. */
export function encodePacket(packet: Packet): Buffer {
  const { protocol, sourcePort, destinationPort, flags = 2 } = packet;
  const segment = Buffer.alloc(protocol === "tcp" ? 20 : 26);
  segment.writeUInt16BE(sourcePort, 0);
  segment.writeUInt16BE(destinationPort, 2);
  if (protocol === "tcp") {
    segment.writeUInt32BE(1, 4);
    segment.writeUInt32BE((flags & 16) === 0 ? 0 : 2, 8);
    segment.writeUInt8(5 << 4, 12);
    segment.writeUInt8(flags, 13);
    segment.writeUInt16BE(1_024, 14);
  } else segment.writeUInt16BE(segment.length, 4);
  const number = protocol === "tcp" ? 6 : 17;
  const addresses = Buffer.concat([addressBytes(packet.source), addressBytes(packet.destination)]);
  const pseudo = Buffer.alloc(4);
  pseudo.writeUInt8(number, 1);
  pseudo.writeUInt16BE(segment.length, 2);
  segment.writeUInt16BE(checksum(Buffer.concat([addresses, pseudo, segment])), protocol === "tcp" ? 16 : 6);
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + segment.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(number, 9);
  addresses.copy(header, 12);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([macBytes(packet.to), macBytes(packet.from), Buffer.from([8, 0]), header, segment]);
}

/** What an Ethernet frame with a TCP or UDP packet says; undefined for any other. */
export function decodePacket(frame: Buffer): Packet | undefined {
  if (frame.length < 42 || frame.readUInt16BE(12) !== 0x0800) return undefined;
  const number = frame.readUInt8(23);
  if (number !== 6 && number !== 17) return undefined;
  const at = 14 + (frame.readUInt8(14) & 15) * 4;
  return {
    from: macText(frame.subarray(6, 12)),
    to: macText(frame.subarray(0, 6)),
    source: [...frame.subarray(26, 30)].join("."),
    destination: [...frame.subarray(30, 34)].join("."),
    protocol: number === 6 ? "tcp" : "udp",
    sourcePort: frame.readUInt16BE(at),
    destinationPort: frame.readUInt16BE(at + 2),
    ...(number === 6 ? { flags: frame.readUInt8(at + 13) } : {}),
  };
}

function addressBytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function macText(bytes: Buffer): string {
  return bytes.toString("hex").replace(/(..)(?=.)/g, "$1:");
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2)
    sum += at + 1 < bytes.length ? bytes.readUInt16BE(at) : bytes.readUInt8(at) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
