import fc from "fast-check";
import { expect, it } from "vitest";
import { changedLinks } from "./link-monitor.ts";

function message(type: number, index: number, extra = 0): Buffer {
  const length = 32 + extra;
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeInt32LE(index, 20);
  return bytes;
}

it("reads whose interfaces changed, of several messages, passing over others", () => {
  const messages = [message(16, 7, 3), message(20, 8), message(17, 9, 2)];
  expect(changedLinks(Buffer.concat(messages))).toEqual(new Set([7, 9]));
  expect(changedLinks(Buffer.alloc(0))).toEqual(new Set());
});

it("says so when messages can't be read to their end, whatever the octets", () => {
  const whole = Buffer.concat([message(16, 7), message(16, 8)]);
  expect(changedLinks(whole.subarray(0, whole.length - 4))).toBeUndefined();
  expect(changedLinks(Buffer.alloc(16))).toBeUndefined();
  const arbitrary = fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets));
  const mangled = fc
    .tuple(fc.nat(whole.length - 1), fc.nat(255))
    .map(([at, octet]) => Buffer.concat([whole.subarray(0, at), Buffer.from([octet]), whole.subarray(at + 1)]));
  fc.assert(
    fc.property(fc.oneof(arbitrary, mangled), (octets) => {
      const read = changedLinks(octets);
      expect(read === undefined || read.size <= octets.length / 16).toBe(true);
    }),
    { seed: 7, numRuns: process.env.VDC_DEEP ? 20_000 : 500 },
  );
});
