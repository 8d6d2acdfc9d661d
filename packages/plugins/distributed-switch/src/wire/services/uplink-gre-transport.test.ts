import { describe, expect, it } from "vitest";
import { erspanTypeII, readErspan } from "../mirror/erspan-packet.ts";
import { readNeighbourPacket } from "../packet/neighbour-packet.ts";
import { arpFrame } from "../packet/packet-builder.ts";
import { PROTOCOL_GRE, readPacketHeaders } from "../packet/packet-headers.ts";
import { ManualClock } from "../test/manual-clock.ts";
import { UplinkGreTransport } from "./uplink-gre-transport.ts";

const OURS = 0x5254_0000_0001;
const ROUTER = 0x5254_0000_00fe;
const packet = erspanTypeII(Buffer.alloc(60), { session: 1, sequence: 1, vlan: 0 });

function uplink(): { readonly transport: UplinkGreTransport; readonly frames: Buffer[]; readonly clock: ManualClock } {
  const frames: Buffer[] = [];
  const clock = new ManualClock();
  const transport = new UplinkGreTransport({
    ...{ address: "192.0.2.1", prefixLength: 24, gateway: "192.0.2.254", macAddress: OURS, clock },
    transmit: (frame) => frames.push(frame) > 0,
  });
  return { transport, frames, clock };
}

function answer(senderAddress: string, senderMac: number): Buffer {
  const arp = { operation: "reply", senderMac, senderAddress, targetMac: OURS, targetAddress: "192.0.2.1" } as const;
  return arpFrame(arp, { sourceMac: senderMac, destinationMac: OURS });
}

describe("UplinkGreTransport", () => {
  it("asks for the next hop, and sends whole frames when it knows it", () => {
    const { transport, frames } = uplink();
    expect(transport.send(packet, "198.51.100.9")).toBe(false);
    expect(transport.send(packet, "198.51.100.9")).toBe(false);
    expect(frames).toHaveLength(1);
    expect(readNeighbourPacket(frames[0] ?? Buffer.alloc(0))).toMatchObject({
      ...{ kind: "arp", operation: 1, targetAddress: Buffer.from([192, 0, 2, 254]) },
    });
    transport.receive(answer("192.0.2.254", ROUTER));
    expect(transport.send(packet, "198.51.100.9")).toBe(true);
    const frame = frames[1] ?? Buffer.alloc(0);
    const headers = readPacketHeaders(frame);
    expect(headers).toMatchObject({ destinationMac: ROUTER, sourceMac: OURS, ip: { protocol: PROTOCOL_GRE } });
    expect(readErspan(frame.subarray(headers?.ip?.payloadStart)).session).toBe(1);
    expect(transport.neighbours()).toEqual([{ address: "192.0.2.254", macAddress: "52:54:00:00:00:fe" }]);
  });

  it("asks again before it forgets, and forgets", () => {
    const { transport, frames, clock } = uplink();
    transport.send(packet, "192.0.2.9");
    transport.receive(answer("192.0.2.9", ROUTER));
    clock.advance(30_000);
    expect(transport.send(packet, "192.0.2.9")).toBe(true);
    expect(frames).toHaveLength(3);
    clock.advance(30_000);
    expect(transport.send(packet, "192.0.2.9")).toBe(false);
    expect(transport.send(packet, "2001:db8::9")).toBe(false);
  });

  it("answers for its own address, and believes nobody whom it didn't ask", () => {
    const { transport, frames } = uplink();
    transport.receive(answer("192.0.2.9", ROUTER));
    expect(transport.neighbours()).toEqual([]);
    const question = {
      operation: "request",
      senderMac: ROUTER,
      senderAddress: "192.0.2.9",
      targetAddress: "192.0.2.1",
    } as const;
    transport.receive(arpFrame(question, { sourceMac: ROUTER, destinationMac: 0xffff_ffff_ffff }));
    expect(readNeighbourPacket(frames[0] ?? Buffer.alloc(0))).toMatchObject({
      operation: 2,
      senderMac: OURS,
      targetMac: ROUTER,
    });
    transport.receive(Buffer.alloc(60));
    transport.close();
    transport.receive(answer("192.0.2.9", ROUTER));
    expect(frames).toHaveLength(1);
    expect(transport.send(packet, "192.0.2.9")).toBe(false);
  });
});
