import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mangled, wireRuns } from "../test/mangled.ts";
import { formatIpAddress } from "./ip-address.ts";
import { readNeighbourPacket } from "./neighbour-packet.ts";
import { arpFrame, ethernetFrame, ipPacket, udpFrame } from "./packet-builder.ts";
import { MAX_EXTENSION_HEADERS, PROTOCOL_TCP, PROTOCOL_UDP, readPacketHeaders } from "./packet-headers.ts";

const MACS = { destinationMac: 0x5254_0000_0002, sourceMac: 0x5254_0000_0001 };
const PORTS = { sourcePort: 1000, destinationPort: 2000 };
const V4 = { source: "192.0.2.1", destination: "192.0.2.2" };
const V6 = { source: "2001:db8::1", destination: "2001:db8::2" };

function ipv6Frame(protocol: number, payload: Buffer, hopLimit = 64): Buffer {
  const { packet, etherType } = ipPacket(payload, { ...V6, protocol, hopLimit });
  return ethernetFrame(etherType, packet, MACS);
}

/** An extension header of 8 octets that says what comes next. */
function extension(next: number, rest = "00000000000000"): Buffer {
  return Buffer.concat([Buffer.from([next]), Buffer.from(rest, "hex")]);
}

const udp: Buffer = Buffer.from("03e807d0000800000000", "hex");
const solicitation: Buffer = Buffer.concat([
  Buffer.from("8700000000000000", "hex"),
  Buffer.from("20010db8000000000000000000000002", "hex"),
  Buffer.from("0101525400000001", "hex"),
]);
const good: Buffer[] = [
  udpFrame(Buffer.from("x"), { ...MACS, ...PORTS, ...V4, tag: 7 }),
  udpFrame(Buffer.from("x"), { ...MACS, ...PORTS, ...V6, dscp: 46 }),
  ipv6Frame(0, Buffer.concat([extension(60), extension(44), extension(PROTOCOL_UDP, "00000100000001"), udp])),
  ipv6Frame(58, solicitation, 255),
  arpFrame({ operation: "request", senderMac: 1, senderAddress: "192.0.2.1", targetAddress: "192.0.2.2" }, MACS),
];

describe("packet headers", () => {
  it("are those of IPv4 and UDP, behind a tag", () => {
    const headers = readPacketHeaders(good[0] ?? Buffer.alloc(0));
    expect(headers).toMatchObject({ ...MACS, tags: [7], etherType: 0x0800, ports: PORTS });
    expect(headers?.problem).toBeUndefined();
    expect(formatIpAddress(headers?.ip?.source ?? Buffer.alloc(0))).toBe("192.0.2.1");
    expect(headers?.ip).toMatchObject({ version: 4, protocol: PROTOCOL_UDP, hopLimit: 64, payloadStart: 38 });
  });

  it("are read in place, and padding is not payload", () => {
    const frame = udpFrame(Buffer.from("x"), { ...MACS, ...PORTS, ...V4 });
    const buffer = Buffer.concat([Buffer.alloc(9, 0xff), frame, Buffer.alloc(30)]);
    const headers = readPacketHeaders(buffer, 9, 9 + frame.length + 17);
    expect(headers?.ip?.payloadEnd).toBe(9 + frame.length);
    expect(headers?.ports).toEqual(PORTS);
  });

  it("look through IPv6 extension headers, a first fragment's included", () => {
    const headers = readPacketHeaders(good[2] ?? Buffer.alloc(0));
    expect(headers).toMatchObject({ ports: PORTS, ip: { protocol: PROTOCOL_UDP, payloadStart: 14 + 40 + 24 } });
    const first = ipv6Frame(44, Buffer.concat([extension(PROTOCOL_UDP, "00000100000001"), udp]));
    expect(readPacketHeaders(first)).toMatchObject({
      ports: PORTS,
      ip: { fragment: { id: 1, offset: 0, more: true } },
    });
    const later = ipv6Frame(44, Buffer.concat([extension(PROTOCOL_UDP, "00000800000001"), udp]));
    expect(readPacketHeaders(later)).toMatchObject({ ip: { fragment: { offset: 8, more: false } } });
    expect(readPacketHeaders(later)?.ports).toBeUndefined();
  });

  it("stop at a chain of extension headers that is too long", () => {
    const chain = (count: number): Buffer =>
      ipv6Frame(60, Buffer.concat([...Array.from({ length: count - 1 }, () => extension(60)), extension(17), udp]));
    expect(readPacketHeaders(chain(MAX_EXTENSION_HEADERS))?.ports).toEqual(PORTS);
    expect(readPacketHeaders(chain(MAX_EXTENSION_HEADERS + 1))).toMatchObject({ problem: "tooManyHeaders" });
  });

  it("have TCP's flags, and no ports in a later IPv4 fragment", () => {
    const segment = Buffer.alloc(20);
    segment.writeUInt32BE(0x03e8_07d0, 0);
    segment.writeUInt8(0x12, 13);
    const { packet, etherType } = ipPacket(segment, { ...V4, protocol: PROTOCOL_TCP });
    expect(readPacketHeaders(ethernetFrame(etherType, packet, MACS))?.ports).toEqual({ ...PORTS, tcpFlags: 0x12 });
    packet.writeUInt16BE(0x2001, 6);
    const headers = readPacketHeaders(ethernetFrame(etherType, packet, MACS));
    expect(headers?.ports).toBeUndefined();
    expect(headers?.ip?.fragment).toEqual({ id: 0, offset: 8, more: true });
  });

  it("say what is wrong with them", () => {
    const [tagged = Buffer.alloc(0)] = good;
    expect(readPacketHeaders(tagged.subarray(0, 13))).toBeUndefined();
    expect(readPacketHeaders(tagged.subarray(0, 15))).toMatchObject({ problem: "truncated" });
    expect(readPacketHeaders(tagged.subarray(0, 30))).toMatchObject({ problem: "truncated" });
    expect(readPacketHeaders(tagged.subarray(0, 40))).toMatchObject({ problem: "truncated" });
    const short = Buffer.from(tagged);
    short.writeUInt8(0x44, 18);
    expect(readPacketHeaders(short)).toMatchObject({ problem: "badHeader" });
  });

  it("never throw, and stay within the range", () => {
    fc.assert(
      fc.property(mangled(good), fc.nat({ max: 20 }), (bytes, before) => {
        const buffer = Buffer.concat([Buffer.alloc(before, 0x86), bytes, Buffer.alloc(64, 0x81)]);
        const end = before + bytes.length;
        const headers = readPacketHeaders(buffer, before, end);
        readNeighbourPacket(buffer, before, end);
        if (headers === undefined) return;
        expect(headers.payloadStart).toBeLessThanOrEqual(end);
        if (headers.ip === undefined) return;
        expect(headers.ip.payloadEnd).toBeLessThanOrEqual(end);
        expect(headers.ip.payloadStart).toBeLessThanOrEqual(headers.ip.payloadEnd);
        // Nothing of what is behind the range was looked at.
        expect(readPacketHeaders(Buffer.from(buffer.subarray(0, end)), before, end)).toEqual(headers);
      }),
      wireRuns,
    );
  });
});

describe("neighbour packets", () => {
  it("are ARP", () => {
    expect(readNeighbourPacket(good[4] ?? Buffer.alloc(0))).toMatchObject({
      kind: "arp",
      operation: 1,
      senderMac: 1,
      senderAddress: Buffer.from([192, 0, 2, 1]),
      targetAddress: Buffer.from([192, 0, 2, 2]),
    });
  });

  it("are neighbour solicitations with their option", () => {
    expect(readNeighbourPacket(good[3] ?? Buffer.alloc(0))).toMatchObject({
      kind: "neighbourDiscovery",
      type: 135,
      linkLayerAddress: 0x5254_0000_0001,
    });
  });

  it("are none when they came through a router, or have an option of length 0", () => {
    expect(readNeighbourPacket(ipv6Frame(58, solicitation, 254))).toBeUndefined();
    const empty = Buffer.from(solicitation);
    empty.writeUInt8(0, 25);
    expect(readNeighbourPacket(ipv6Frame(58, empty, 255))).toBeUndefined();
  });
});
