import type { FrameInFlight } from "./frame-in-flight.ts";
import { readMacHigh, readMacLow } from "./mac-address.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV6, PacketFields } from "./packet-fields.ts";

const ETHERTYPE_RARP = 0x8035;
const ICMPV6 = 58;
const ROUTER_SOLICITATION = 133;
const ROUTER_ADVERTISEMENT = 134;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
const SOURCE_ADDRESS_OPTION = 1;
const TARGET_ADDRESS_OPTION = 2;

const fields = new PacketFields();

/**
 * Whether a frame says, in ARP (RFC 826), reverse ARP or IPv6 neighbour discovery (RFC 4861), that an address of its sender is at another
 * MAC address than the one it comes from: the way to draw somebody else's traffic. Frames that are cut short say nothing.
 */
export function claimsOtherAddress(frame: FrameInFlight): boolean {
  const { buffer, end } = frame;
  const at = frame.typeOffset;
  const etherType = ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
  if (etherType === ETHERTYPE_ARP || etherType === ETHERTYPE_RARP) {
    // Of Ethernet: the sender's address stands after eight octets.
    if (end - at < 2 + 14 || buffer.readUInt16BE(at + 2) !== 1 || buffer.readUInt8(at + 6) !== 6) return false;
    return !isSource(frame, at + 10);
  }
  if (etherType !== ETHERTYPE_IPV6 || end - at < 42) return false;
  const next = buffer[at + 8] as number;
  // TCP and UDP are most of what there is; neighbour discovery may be hidden behind extension headers.
  return next === 6 || next === 17 ? false : claimsInDiscovery(frame);
}

function claimsInDiscovery(frame: FrameInFlight): boolean {
  fields.read(frame);
  const { buffer, end } = frame;
  const at = fields.payloadOffset;
  if (fields.protocol !== ICMPV6 || at < 0 || at + 8 > end) return false;
  const type = buffer.readUInt8(at);
  let option = at + optionsOffset(type);
  if (option === at) return false;
  const wanted = type === NEIGHBOUR_ADVERTISEMENT ? TARGET_ADDRESS_OPTION : SOURCE_ADDRESS_OPTION;
  while (option + 8 <= end) {
    const length = buffer.readUInt8(option + 1) * 8;
    // RFC 4861 section 4.6: a message with an option of length 0 is discarded by who gets it.
    if (length === 0) return false;
    if (buffer.readUInt8(option) === wanted && !isSource(frame, option + 2)) return true;
    option += length;
  }
  return false;
}

/** Where a message's options start; 0 for what is no such message. */
function optionsOffset(type: number): number {
  if (type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT) return 24;
  if (type === ROUTER_SOLICITATION) return 8;
  return type === ROUTER_ADVERTISEMENT ? 16 : 0;
}

function isSource({ buffer, fromHigh, fromLow }: FrameInFlight, at: number): boolean {
  return readMacLow(buffer, at) === fromLow && readMacHigh(buffer, at) === fromHigh;
}
