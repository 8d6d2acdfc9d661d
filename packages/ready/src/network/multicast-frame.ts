/** An Ethernet frame with an IGMPv2 membership report (RFC 2236): its sender wants what is sent to the group. */
export function membershipReport(from: string, group: string): Buffer {
  const report = Buffer.alloc(8);
  report.writeUInt8(0x16, 0);
  addressBytes(group).copy(report, 4);
  report.writeUInt16BE(checksum(report), 2);
  return frame(from, group, 2, report, true);
}

/** An Ethernet frame with a UDP datagram of this text to an IPv4 group. */
export function multicastFrame(from: string, group: string, text: string): Buffer {
  const payload = Buffer.from(text.padEnd(24, " "));
  const header = Buffer.alloc(8);
  header.writeUInt16BE(5_000, 0);
  header.writeUInt16BE(5_000, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return frame(from, group, 17, Buffer.concat([header, payload]), false);
}

function frame(from: string, group: string, protocol: number, payload: Buffer, alert: boolean): Buffer {
  const octets = addressBytes(group);
  const header = Buffer.alloc(alert ? 24 : 20);
  header.writeUInt8(0x40 | (header.length / 4), 0);
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt8(1, 8);
  header.writeUInt8(protocol, 9);
  addressBytes("192.0.2.1").copy(header, 12);
  octets.copy(header, 16);
  // The router alert option (RFC 2113), which IGMPv2 messages carry.
  if (alert) header.writeUInt32BE(0x9404_0000, 20);
  header.writeUInt16BE(checksum(header), 10);
  const to = Buffer.from([0x01, 0x00, 0x5e, octets.readUInt8(1) & 0x7f, octets.readUInt8(2), octets.readUInt8(3)]);
  const source = Buffer.from(from.replaceAll(":", ""), "hex");
  return Buffer.concat([to, source, Buffer.from([0x08, 0x00]), header, payload]);
}

function addressBytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
