import type { FieldName } from "@vdc-os/openflow";

/** A frame as flows see it. */
export interface TracedFrame {
  /** Fields beside registers, the port and the tag. A field that the frame does not have is absent. */
  readonly fields: ReadonlyMap<FieldName, bigint>;
  /** VLAN ids, the outermost first. */
  readonly tags: readonly number[];
}

const transports: Readonly<Record<number, readonly [FieldName, FieldName]>> = {
  6: ["tcpSrc", "tcpDst"],
  17: ["udpSrc", "udpDst"],
  132: ["sctpSrc", "sctpDst"],
};

/** Reads the fields that flows can look at. What is cut off, or no Ethernet frame, has fewer of them. */
export function readFrame(bytes: Buffer): TracedFrame {
  const fields = new Map<FieldName, bigint>();
  const tags: number[] = [];
  if (bytes.length < 14) return { fields, tags };
  fields.set("ethDst", unsigned(bytes.subarray(0, 6)));
  fields.set("ethSrc", unsigned(bytes.subarray(6, 12)));
  let at = 12;
  while (bytes.length >= at + 6 && bytes.readUInt16BE(at) === 0x8100 && tags.length < 2) {
    tags.push(bytes.readUInt16BE(at + 2) & 0xfff);
    at += 4;
  }
  const etherType = bytes.readUInt16BE(at);
  fields.set("ethType", BigInt(etherType));
  const body = bytes.subarray(at + 2);
  if (etherType === 0x0800) readIpv4(body, fields);
  else if (etherType === 0x86dd) readIpv6(body, fields);
  return { fields, tags };
}

function readIpv4(body: Buffer, fields: Map<FieldName, bigint>): void {
  if (body.length < 20 || body.readUInt8(0) >> 4 !== 4) return;
  const fragment = body.readUInt16BE(6);
  const isLater = (fragment & 0x1fff) !== 0;
  fields.set("ipFrag", isLater ? 3n : (fragment & 0x2000) !== 0 ? 1n : 0n);
  fields.set("ipv4Src", unsigned(body.subarray(12, 16)));
  fields.set("ipv4Dst", unsigned(body.subarray(16, 20)));
  readTransport(body.readUInt8(9), isLater ? Buffer.alloc(4) : body.subarray((body.readUInt8(0) & 0xf) * 4), fields);
}

/** Without extension headers: a frame that has them is taken for one of their protocol. */
function readIpv6(body: Buffer, fields: Map<FieldName, bigint>): void {
  if (body.length < 40 || body.readUInt8(0) >> 4 !== 6) return;
  fields.set("ipFrag", 0n);
  fields.set("ipv6Src", unsigned(body.subarray(8, 24)));
  fields.set("ipv6Dst", unsigned(body.subarray(24, 40)));
  readTransport(body.readUInt8(6), body.subarray(40), fields);
}

function readTransport(protocol: number, body: Buffer, fields: Map<FieldName, bigint>): void {
  fields.set("ipProto", BigInt(protocol));
  const names = transports[protocol];
  if (names === undefined || body.length < 4) return;
  fields.set(names[0], BigInt(body.readUInt16BE(0)));
  fields.set(names[1], BigInt(body.readUInt16BE(2)));
}

function unsigned(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}
