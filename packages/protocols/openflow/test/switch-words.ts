// What a switch says, as octets: for tests, which must not believe the parser about itself.

/** A flow with a match of one field: port 3. Of 7 frames and 420 octets. */
export function flowStats(table: number, cookie: bigint): Buffer {
  const flow = Buffer.alloc(64);
  flow.writeUInt16BE(64, 0);
  flow.writeUInt8(table, 2);
  flow.writeUInt16BE(10, 12);
  flow.writeBigUInt64BE(cookie, 24);
  flow.writeBigUInt64BE(7n, 32);
  flow.writeBigUInt64BE(420n, 40);
  flow.writeUInt16BE(1, 48);
  flow.writeUInt16BE(12, 50);
  flow.set([0x80, 0, 0, 4, 0, 0, 0, 3], 52);
  return flow;
}

/** A frame for the controller: of 1,514 octets, by table 7, with the port that it came in by (5), and `reg0` (9). */
export function packetIn(frame: Buffer): Buffer {
  const fixed = Buffer.alloc(16);
  fixed.writeUInt16BE(1_514, 4);
  fixed.writeUInt8(7, 7);
  fixed.writeBigUInt64BE(0xabcdn, 8);
  const match = Buffer.from(`00010014${"8000000400000005"}${"0001000400000009"}00000000`, "hex");
  return Buffer.concat([fixed, match, Buffer.alloc(2), frame]);
}

/** A port with a link, of one Gbit/s. */
export function portDescription(number: number, name: string): Buffer {
  const port = Buffer.alloc(64);
  port.writeUInt32BE(number, 0);
  port.set([0x52, 0x54, 0, 0, 0, number], 8);
  port.write(name, 16);
  port.writeUInt32BE(1_000_000, 56);
  return port;
}

/** A message with its header. */
export function message(type: number, xid: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(8);
  header.set([4, type], 0);
  header.writeUInt16BE(8 + body.length, 2);
  header.writeUInt32BE(xid, 4);
  return Buffer.concat([header, body]);
}

/** An answer to a question, or a part of one. */
export function multipart(type: number, { xid, body, more }: MultipartWords): Buffer {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(more === true ? 1 : 0, 2);
  return message(19, xid, Buffer.concat([fixed, body]));
}

/** Options of {@link multipart}. */
export interface MultipartWords {
  readonly xid: number;
  readonly body: Buffer;
  readonly more?: boolean;
}

/** An error, with what it is about cut to its header. */
export function refusal(xid: number, type: number, code: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt16BE(type, 0);
  body.writeUInt16BE(code, 2);
  return message(1, xid, body);
}
