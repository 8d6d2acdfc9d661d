/** An LLDP frame (IEEE 802.1AB-2016, clause 8) with a chassis, a port, a time to live in seconds and a system name. */
export function lldpFrame(from: string, chassisId: string, portId: string, systemName: string): Buffer {
  const ttl = Buffer.alloc(2);
  ttl.writeUInt16BE(120);
  return Buffer.concat([
    Buffer.from("0180c200000e", "hex"),
    Buffer.from(from.replaceAll(":", ""), "hex"),
    Buffer.from([0x88, 0xcc]),
    // Locally assigned ids, subtype 7.
    tlv(1, Buffer.from(`\x07${chassisId}`, "latin1")),
    tlv(2, Buffer.from(`\x07${portId}`, "latin1")),
    tlv(3, ttl),
    tlv(5, Buffer.from(systemName)),
    tlv(0, Buffer.alloc(0)),
  ]);
}

/** What an LLDP frame with locally assigned ids says; undefined for any other frame. */
export function readLldpFrame(
  bytes: Buffer,
): { readonly chassisId: string; readonly portId: string; readonly systemName: string } | undefined {
  if (!isLldpFrame(bytes)) return undefined;
  const values = new Map<number, Buffer>();
  for (let at = 14; at + 2 <= bytes.length; ) {
    const head = bytes.readUInt16BE(at);
    values.set(head >>> 9, bytes.subarray(at + 2, at + 2 + (head & 0x1ff)));
    at += 2 + (head & 0x1ff);
  }
  const text = (type: number, from: number): string => values.get(type)?.toString("latin1", from) ?? "";
  return { chassisId: text(1, 1), portId: text(2, 1), systemName: text(5, 0) };
}

/** Whether a frame is one of LLDP. */
export function isLldpFrame(frame: Uint8Array): boolean {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  return bytes.length >= 14 && bytes.readUInt16BE(12) === 0x88cc;
}

function tlv(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE((type << 9) | value.length);
  return Buffer.concat([head, value]);
}
