import type { FrameInFlight } from "./frame-in-flight.ts";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_ARP = 0x0806;

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const AUTHENTICATION_HEADER = 51;
const FRAGMENT_HEADER = 44;

/**
 * What filters and flow records look at in a frame. One object, read into again and again. Nothing of the frame is believed: what lies
 * beyond its end, or contradicts itself, isn't there.
 */
export class PacketFields {
  etherType = 0;
  /** 4 or 6; 0 for what is no readable IP packet. */
  version = 0;
  /** Where the IP header starts in the frame's buffer. */
  ipOffset = 0;
  /** Where what IP carries starts; -1 where it can't be told, or for a later fragment. */
  payloadOffset = -1;
  /** The protocol that IP carries, behind IPv6's extension headers; -1 where it can't be told. */
  protocol = -1;
  /** -1 for protocols without ports, for later fragments, and where the frame ends before them. */
  sourcePort = -1;
  destinationPort = -1;
  /** Whether this is a fragment other than the first. */
  laterFragment = false;
  /** IPv4 in the first word; IPv6 in all four. Signed 32-bit integers. */
  readonly source: Int32Array = new Int32Array(4);
  readonly destination: Int32Array = new Int32Array(4);

  read(frame: FrameInFlight): void {
    const { buffer, end, typeOffset } = frame;
    this.version = 0;
    this.payloadOffset = -1;
    this.protocol = -1;
    this.sourcePort = -1;
    this.destinationPort = -1;
    this.laterFragment = false;
    this.etherType = buffer.readUInt16BE(typeOffset);
    this.ipOffset = typeOffset + 2;
    if (this.etherType === ETHERTYPE_IPV4) this.#readIpv4(buffer, this.ipOffset, end);
    else if (this.etherType === ETHERTYPE_IPV6) this.#readIpv6(buffer, this.ipOffset, end);
  }

  #readIpv4(buffer: Buffer, at: number, end: number): void {
    if (end - at < 20) return;
    const first = buffer.readUInt8(at);
    const headerBytes = (first & 0xf) * 4;
    if (first >>> 4 !== 4 || headerBytes < 20 || at + headerBytes > end) return;
    this.version = 4;
    this.protocol = buffer.readUInt8(at + 9);
    this.source[0] = buffer.readInt32BE(at + 12);
    this.destination[0] = buffer.readInt32BE(at + 16);
    this.laterFragment = (buffer.readUInt16BE(at + 6) & 0x1fff) !== 0;
    if (!this.laterFragment) this.#readPorts(buffer, at + headerBytes, end);
  }

  #readIpv6(buffer: Buffer, at: number, end: number): void {
    if (end - at < 40 || buffer.readUInt8(at) >>> 4 !== 6) return;
    this.version = 6;
    for (let word = 0; word < 4; word += 1) {
      this.source[word] = buffer.readInt32BE(at + 8 + word * 4);
      this.destination[word] = buffer.readInt32BE(at + 24 + word * 4);
    }
    let next = buffer.readUInt8(at + 6);
    let offset = at + 40;
    // Every extension header has at least 8 octets, so the frame's length bounds this.
    while (isExtension(next)) {
      if (offset + 8 > end) return;
      const following = buffer.readUInt8(offset);
      if (next === FRAGMENT_HEADER) {
        if ((buffer.readUInt16BE(offset + 2) & 0xfff8) !== 0) {
          this.laterFragment = true;
          this.protocol = following;
          return;
        }
        offset += 8;
      } else {
        const units = buffer.readUInt8(offset + 1);
        offset += next === AUTHENTICATION_HEADER ? (units + 2) * 4 : (units + 1) * 8;
      }
      next = following;
    }
    if (offset > end) return;
    this.protocol = next;
    this.#readPorts(buffer, offset, end);
  }

  #readPorts(buffer: Buffer, at: number, end: number): void {
    this.payloadOffset = at;
    const { protocol } = this;
    if ((protocol !== TCP && protocol !== UDP && protocol !== SCTP) || at + 4 > end) return;
    this.sourcePort = buffer.readUInt16BE(at);
    this.destinationPort = buffer.readUInt16BE(at + 2);
  }
}

/** Hop-by-hop, routing, fragment, authentication, destination options, mobility (RFC 8200 section 4.1; RFC 7045 section 4). */
function isExtension(header: number): boolean {
  return header === 0 || header === 43 || header === 44 || header === 51 || header === 60 || header === 135;
}
