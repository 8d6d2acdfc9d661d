import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wireRuns } from "../test/mangled.ts";
import { addToChecksum, foldChecksum, internetChecksum, transportChecksum } from "./internet-checksum.ts";

describe("internet checksum", () => {
  it("is RFC 1071's example", () => {
    expect(internetChecksum(Buffer.from("0001f203f4f5f6f7", "hex"))).toBe(~0xddf2 & 0xffff);
  });

  it("is 0 over data that holds it, wherever even parts are split", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 99 }), fc.nat({ max: 40 }), (bytes, split) => {
        const data = Buffer.from(bytes);
        data.writeUInt16BE(0, 0);
        data.writeUInt16BE(internetChecksum(data), 0);
        expect(internetChecksum(data)).toBe(0);
        const at = Math.min(split * 2, data.length & ~1);
        expect(foldChecksum(addToChecksum(addToChecksum(0, data, 0, at), data, at))).toBe(0);
      }),
      wireRuns,
    );
  });

  it("covers the pseudo-header", () => {
    const header = { source: Buffer.from([192, 0, 2, 1]), destination: Buffer.from([192, 0, 2, 2]), protocol: 17 };
    const datagram = Buffer.from("9c409c41000c0000666f7572", "hex");
    datagram.writeUInt16BE(transportChecksum(datagram, header), 6);
    expect(transportChecksum(datagram, header)).toBe(0);
    expect(transportChecksum(datagram, { ...header, protocol: 6 })).not.toBe(0);
  });
});
