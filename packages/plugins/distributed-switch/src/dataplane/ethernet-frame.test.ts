import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  announcementFrame,
  LENGTH_PREFIX_BYTES,
  readTag,
  recordWithoutTag,
  recordWithTag,
  tagVlan,
  UNSUPPORTED_TAG,
  UNTAGGED,
} from "./ethernet-frame.ts";
import { BROADCAST_MAC, formatMac, isGroupMac, isLinkLocalMac, parseMac, readMac } from "./mac-address.ts";

const runs = { seed: 7, numRuns: process.env.VDC_DEEP ? 5000 : 300 };

describe("MAC addresses", () => {
  it("round-trips text and bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (octets) => {
        const mac = readMac(Buffer.from(octets), 0);
        expect(formatMac(mac)).toBe([...octets].map((octet) => octet.toString(16).padStart(2, "0")).join(":"));
        expect(parseMac(formatMac(mac))).toBe(mac);
        expect(isGroupMac(mac)).toBe(((octets[0] ?? 0) & 1) === 1);
      }),
      runs,
    );
  });

  it("refuses what isn't six octets", () => {
    for (const text of ["", "52:54:00:12:34", "52-54-00-12-34-56", "52:54:00:12:34:5g", "52:54:00:12:34:56:78"]) {
      expect(parseMac(text)).toBeUndefined();
    }
  });

  it("knows the addresses that a bridge keeps to itself", () => {
    expect(isLinkLocalMac(parseMac("01:80:c2:00:00:0e") ?? 0)).toBe(true);
    expect(isLinkLocalMac(parseMac("01:80:c2:00:00:10") ?? 0)).toBe(false);
  });
});

describe("802.1Q tags", () => {
  it("takes off what it put on, and keeps the length prefix true", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 14, maxLength: 200 }),
        fc.integer({ min: 1, max: 4094 }),
        (bytes, vlan) => {
          const frame = Buffer.from(bytes);
          fc.pre(readTag(frame, 0, frame.length) === UNTAGGED);
          const tagged = recordWithTag(frame, 0, frame.length, vlan);
          expect(tagged.readUInt32BE(0)).toBe(frame.length + 4);
          expect(tagVlan(readTag(tagged, LENGTH_PREFIX_BYTES, tagged.length))).toBe(vlan);
          const back = recordWithoutTag(tagged, LENGTH_PREFIX_BYTES, tagged.length);
          expect(back.readUInt32BE(0)).toBe(frame.length);
          expect(back.subarray(LENGTH_PREFIX_BYTES).equals(frame)).toBe(true);
        },
      ),
      runs,
    );
  });

  it("reads any bytes without throwing", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 14, maxLength: 40 }),
        fc.constantFrom(0x8100, 0x88a8, 0x9100),
        (bytes, type) => {
          const frame = Buffer.from(bytes);
          frame.writeUInt16BE(type, 12);
          const tag = readTag(frame, 0, frame.length);
          if (type !== 0x8100 || frame.length < 18) expect(tag).toBe(UNSUPPORTED_TAG);
          else expect(tag).toBeGreaterThanOrEqual(UNSUPPORTED_TAG);
        },
      ),
      runs,
    );
  });

  it("doesn't carry a second tag, which would surface when the first is taken off", () => {
    const frame = Buffer.alloc(60);
    frame.writeUInt32BE(0x8100_000a, 12);
    frame.writeUInt32BE(0x8100_0014, 16);
    expect(readTag(frame, 0, frame.length)).toBe(UNSUPPORTED_TAG);
  });
});

it("announces an address as QEMU does: a reverse-ARP broadcast from it", () => {
  const mac = parseMac("52:54:00:00:00:01") ?? 0;
  const frame = announcementFrame(mac);
  expect(frame.length).toBe(60);
  expect([readMac(frame, 0), readMac(frame, 6), frame.readUInt16BE(12)]).toEqual([BROADCAST_MAC, mac, 0x8035]);
  expect([readMac(frame, 22), readMac(frame, 32)]).toEqual([mac, mac]);
});
