import { expect, it } from "vitest";
import { access, Bench, nic } from "../../test/engine-bench.ts";
import { ipFrame } from "../../test/packet.ts";

function arp(from: number, sender: number, type: number = 0x0806): Buffer {
  const frame = Buffer.alloc(60);
  frame.writeUIntBE(0xffff_ffff_ffff, 0, 6);
  frame.writeUIntBE(from, 6, 6);
  frame.writeUInt16BE(type, 12);
  frame.set([0, 1, 8, 0, 6, 4, 0, 1], 14);
  frame.writeUIntBE(sender, 22, 6);
  return frame;
}

function discovery(from: number, type: number, option: number, address: number, hidden: boolean = false): Buffer {
  const length = { 133: 8, 134: 16, 135: 24, 136: 24 }[type] ?? 8;
  const payload = Buffer.alloc(length + 16);
  payload.writeUInt8(type, 0);
  // Some other option first.
  payload.set([5, 1, 0, 0, 0, 0, 5, 220], length);
  payload.set([option, 1], length + 8);
  payload.writeUIntBE(address, length + 10, 6);
  const extensions = hidden ? [{ header: 60, bytes: Buffer.alloc(8) }] : [];
  return ipFrame({
    to: 0x3333_0000_0001,
    from,
    source: "fe80::1",
    destination: "ff02::1",
    protocol: 58,
    payload,
    extensions,
  });
}

it("lets a port that may not forge speak for its own address alone in ARP and neighbour discovery", () => {
  const own = nic(1);
  const other = nic(2);
  const cases: [Buffer, boolean][] = [
    [arp(own, own), true],
    [arp(own, other), false],
    [arp(own, other, 0x8035), false],
    [arp(own, other).subarray(0, 26), true],
    [discovery(own, 135, 1, own), true],
    [discovery(own, 135, 1, other), false],
    [discovery(own, 136, 2, other), false],
    [discovery(own, 136, 2, other, true), false],
    [discovery(own, 136, 2, own, true), true],
    [discovery(own, 133, 1, other), false],
    [discovery(own, 134, 1, other), false],
    // The target of a solicitation, and what isn't discovery.
    [discovery(own, 135, 2, other), true],
    [discovery(own, 128, 1, other), true],
  ];
  for (const [bytes, passes] of cases) {
    for (const forgedTransmits of [false, true]) {
      const bench = new Bench();
      const a = bench.port(1, access(10), { security: { forgedTransmits } });
      bench.port(2, access(10));
      const said = bench.engine.explainer.fromPort(a, bytes).verdict;
      bench.send(a, Buffer.concat([bytes, Buffer.alloc(4)]).subarray(0, Math.max(bytes.length, 22)));
      const { drops } = a.statistics().in;
      expect(drops, bytes.toString("hex")).toEqual(passes || forgedTransmits ? {} : { arpSpoof: 1 });
      expect(said).toBe(passes || forgedTransmits ? "flood" : "drop");
    }
  }
});
