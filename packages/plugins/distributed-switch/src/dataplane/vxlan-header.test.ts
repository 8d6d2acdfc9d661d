import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitVni } from "./segment.ts";
import { MAX_VNI, readVxlanVni, vxlanHeader, vxlanOverhead } from "./vxlan-header.ts";

const runs = { seed: 13, numRuns: process.env.VDC_DEEP ? 5000 : 300 };

describe("VXLAN header", () => {
  it("is RFC 7348's: I flag, VNI in the upper 24 bits of the second word", () => {
    expect(vxlanHeader(0x123456).toString("hex")).toBe("0800000012345600");
  });

  it("round-trips every VNI, whatever the reserved bits say", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_VNI }), fc.uint8Array({ minLength: 5, maxLength: 5 }), (vni, noise) => {
        const datagram = Buffer.concat([vxlanHeader(vni), Buffer.alloc(14)]);
        datagram[0] = (noise[0] ?? 0) | 0x08;
        datagram.set(noise.subarray(1, 4), 1);
        datagram[7] = noise[4] ?? 0;
        expect(readVxlanVni(datagram)).toBe(vni);
        const { vniBase, vlan } = splitVni(vni);
        expect(vniBase % 4096).toBe(0);
        expect(vniBase + vlan).toBe(vni);
      }),
      runs,
    );
  });

  it("refuses what is short or without the I flag, and never throws", () => {
    expect(readVxlanVni(Buffer.concat([vxlanHeader(1), Buffer.alloc(13)]))).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const vni = readVxlanVni(Buffer.from(bytes));
        if (bytes.length < 22 || ((bytes[0] ?? 0) & 8) === 0) expect(vni).toBeUndefined();
        else expect(vni).toBeLessThanOrEqual(MAX_VNI);
      }),
      runs,
    );
  });

  it("costs 50 octets over IPv4 and 70 over IPv6", () => {
    expect([vxlanOverhead(4), vxlanOverhead(6)]).toEqual([50, 70]);
  });
});
