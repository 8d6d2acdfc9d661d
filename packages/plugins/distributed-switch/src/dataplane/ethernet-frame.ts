import { BROADCAST_MAC, type MacAddress } from "./mac-address.ts";

/** Destination, source and EtherType. */
export const ETHERNET_HEADER_BYTES = 14;
/** One 802.1Q tag. */
export const VLAN_TAG_BYTES = 4;
/** The largest payload of frames where a switch doesn't say. */
export const DEFAULT_MTU = 1500;
/** The largest payload that the switch can be configured to carry. */
export const MAX_MTU = 9216;
/** The largest frame that the switch can be configured to carry: a tagged jumbo frame. */
export const MAX_FRAME_BYTES: number = MAX_MTU + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;
/** The length prefix that stands before every frame inside the data plane, as on QEMU's stream sockets. */
export const LENGTH_PREFIX_BYTES = 4;

const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_SERVICE_VLAN = 0x88a8;
const ETHERTYPE_OLD_QINQ = 0x9100;
const ETHERTYPE_RARP = 0x8035;

/**
 * How a frame is tagged: the 16-bit tag control information of its 802.1Q tag, or one of two negative values. A number, not
 * an object, because it is made for every frame.
 */
export type TagControl = number;
/** The frame carries no tag. */
export const UNTAGGED = -1;
/** A service tag, two tags, or a tag cut short: nothing that this switch carries. */
export const UNSUPPORTED_TAG = -2;

/** Reads the tag of the frame in `buffer[start, end)`, which holds at least an Ethernet header. */
export function readTag(buffer: Buffer, start: number, end: number): TagControl {
  const etherType = buffer.readUInt16BE(start + 12);
  if (!isTagType(etherType)) return UNTAGGED;
  if (etherType !== ETHERTYPE_VLAN || end - start < ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES) return UNSUPPORTED_TAG;
  // A second tag would surface after this one is taken off, and let a guest choose its VLAN: double-tag hopping.
  if (isTagType(buffer.readUInt16BE(start + 16))) return UNSUPPORTED_TAG;
  return buffer.readUInt16BE(start + 14);
}

function isTagType(etherType: number): boolean {
  return etherType === ETHERTYPE_VLAN || etherType === ETHERTYPE_SERVICE_VLAN || etherType === ETHERTYPE_OLD_QINQ;
}

/** The VLAN id (12 bits) of a tag. */
export function tagVlan(tag: TagControl): number {
  return tag & 0xfff;
}

/**
 * A copy of an untagged frame with an 802.1Q tag of this control information (a VLAN alone means priority 0), as a record: the returned
 * buffer starts with the length prefix and ends with the frame.
 */
export function recordWithTag(buffer: Buffer, start: number, end: number, control: TagControl): Buffer {
  const length = end - start + VLAN_TAG_BYTES;
  const record = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + length);
  record.writeUInt32BE(length, 0);
  buffer.copy(record, LENGTH_PREFIX_BYTES, start, start + 12);
  record.writeUInt16BE(ETHERTYPE_VLAN, 16);
  record.writeUInt16BE(control, 18);
  buffer.copy(record, 20, start + 12, end);
  return record;
}

/** A copy of a tagged frame without its tag, as a record. */
export function recordWithoutTag(buffer: Buffer, start: number, end: number): Buffer {
  const length = end - start - VLAN_TAG_BYTES;
  const record = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + length);
  record.writeUInt32BE(length, 0);
  buffer.copy(record, LENGTH_PREFIX_BYTES, start, start + 12);
  buffer.copy(record, 16, start + 16, end);
  return record;
}

/** A copy of a frame as a record: 32-bit big-endian length, then the frame. */
export function recordOf(frame: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + frame.length);
  record.writeUInt32BE(frame.length, 0);
  record.set(frame, LENGTH_PREFIX_BYTES);
  return record;
}

/**
 * The reverse-ARP broadcast by which a switch or hypervisor says that `mac` is now behind it (RFC 903 layout; what QEMU sends after
 * a migration). Tables everywhere move the address; no guest answers it.
 */
export function announcementFrame(mac: MacAddress): Buffer {
  const frame = Buffer.alloc(60);
  writeMac(frame, 0, BROADCAST_MAC);
  writeMac(frame, 6, mac);
  frame.writeUInt16BE(ETHERTYPE_RARP, 12);
  frame.writeUInt16BE(1, 14); // Ethernet
  frame.writeUInt16BE(0x0800, 16); // IPv4
  frame.writeUInt8(6, 18);
  frame.writeUInt8(4, 19);
  frame.writeUInt16BE(3, 20); // request reverse
  writeMac(frame, 22, mac);
  writeMac(frame, 32, mac);
  return frame;
}

function writeMac(frame: Buffer, offset: number, mac: MacAddress): void {
  frame.writeUIntBE(mac, offset, 6);
}
