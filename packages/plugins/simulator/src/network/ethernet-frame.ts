/** The bytes before the payload of an untagged frame: two addresses and the EtherType (IEEE 802.3). */
export const headerBytes = 14;

/** The EtherType of a VLAN tag (IEEE 802.1Q). */
const tagType = 0x8100;

/** What a switch reads of a frame. */
export interface FrameHeader {
  readonly destination: string;
  readonly source: string;
  /** The VLAN tag's id; `undefined` for an untagged frame, and for a tag of VLAN 0, which is one by 802.1Q, 6.9.1. */
  readonly vlan: number | undefined;
  readonly payloadBytes: number;
}

/** Reads a frame's header; `undefined` for what is too short to have one. */
export function readHeader(frame: Uint8Array): FrameHeader | undefined {
  if (frame.length < headerBytes) return undefined;
  const tagged = typeAt(frame, 12) === tagType;
  if (tagged && frame.length < headerBytes + 4) return undefined;
  const vlan = tagged ? typeAt(frame, 14) & 0xfff : 0;
  return {
    destination: macAt(frame, 0),
    source: macAt(frame, 6),
    vlan: vlan === 0 ? undefined : vlan,
    payloadBytes: frame.length - headerBytes - (tagged ? 4 : 0),
  };
}

/** The same frame, with the tag of a VLAN or without one. */
export function retag(frame: Uint8Array, vlan: number | undefined): Uint8Array {
  const bare = typeAt(frame, 12) === tagType ? join(frame.subarray(0, 12), frame.subarray(16)) : frame;
  if (vlan === undefined) return bare;
  return join(bare.subarray(0, 12), new Uint8Array([0x81, 0x00, vlan >> 8, vlan & 0xff]), bare.subarray(12));
}

/** Whether an address is for all or many: its lowest bit of the first byte is set. */
export function isGroupAddress(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
}

/** Builds an untagged frame. */
export function buildFrame(destination: string, source: string, etherType: number, payload: Uint8Array): Uint8Array {
  const type = new Uint8Array([etherType >> 8, etherType & 0xff]);
  return join(macBytes(destination), macBytes(source), type, payload);
}

function typeAt(frame: Uint8Array, at: number): number {
  return ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
}

function macAt(frame: Uint8Array, at: number): string {
  return [...frame.subarray(at, at + 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function macBytes(mac: string): Uint8Array {
  return new Uint8Array(mac.split(":").map((part) => Number.parseInt(part, 16)));
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
