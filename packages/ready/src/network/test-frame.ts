/** EtherType for local experiments (IEEE 802-2014, 9.2.4): no other frame of a VM has it. */
const etherType = 0x88b5;

/** What a frame of the suite says. */
export interface TestFrame {
  readonly to: string;
  readonly from: string;
  readonly text: string;
  /** Puts an 802.1Q tag of this VLAN on. */
  readonly tag?: number | undefined;
}

/** The address of all stations. */
export const everybody = "ff:ff:ff:ff:ff:ff";

/** An Ethernet frame, without check sequence, that carries a text. */
export function encodeTestFrame({ to, from, text, tag }: TestFrame): Buffer {
  const payload = Buffer.alloc(Math.max(46, text.length + 1));
  payload.write(text);
  const type = Buffer.alloc(2);
  type.writeUInt16BE(etherType);
  const tagBytes = Buffer.alloc(tag === undefined ? 0 : 4);
  if (tag !== undefined) tagBytes.writeUInt32BE(0x8100_0000 + tag);
  return Buffer.concat([macBytes(to), macBytes(from), tagBytes, type, payload]);
}

/** Reads a frame of the suite; undefined for any other, such as a switch's announcement. */
export function decodeTestFrame(frame: Uint8Array): TestFrame | undefined {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (bytes.length < 18) return undefined;
  const tagged = bytes.readUInt16BE(12) === 0x8100;
  const at = tagged ? 16 : 12;
  if (bytes.readUInt16BE(at) !== etherType) return undefined;
  const end = bytes.indexOf(0, at + 2);
  return {
    to: macText(bytes.subarray(0, 6)),
    from: macText(bytes.subarray(6, 12)),
    text: bytes.toString("latin1", at + 2, end < 0 ? bytes.length : end),
    ...(tagged ? { tag: bytes.readUInt16BE(14) & 0xfff } : {}),
  };
}

function macBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

function macText(bytes: Buffer): string {
  return bytes.toString("hex").replace(/(..)(?=.)/g, "$1:");
}
