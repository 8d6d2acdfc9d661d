import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeConsole } from "./console-text.ts";

test("a character that is cut off is left for the next call", () => {
  const data = Buffer.from("señor");
  expect(decodeConsole(data.subarray(0, 3), false)).toEqual({ text: "se", bytes: 2 });
  expect(decodeConsole(data.subarray(2), false)).toEqual({ text: "ñor", bytes: 4 });
});

test("a byte of no character is one question mark", () => {
  expect(decodeConsole(Buffer.from([0x61, 0xff, 0xc3, 0x62, 0xf0, 0x9f]), true).text).toBe("a??b??");
});

test("whatever is read in whatever portions, the text has as many bytes as it stands for, and valid text is unchanged", () => {
  const parts = fc.array(
    fc.oneof(
      fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
      fc.uint8Array(),
    ),
  );
  fc.assert(
    fc.property(parts, fc.integer({ min: 4, max: 9 }), (chunks, portion) => {
      const data = Buffer.concat(chunks);
      let text = "";
      for (let at = 0; at < data.length; ) {
        const end = Math.min(at + portion, data.length);
        const decoded = decodeConsole(data.subarray(at, end), end === data.length);
        expect(Buffer.byteLength(decoded.text)).toBe(decoded.bytes);
        expect(decoded.bytes).toBeGreaterThan(0);
        text += decoded.text;
        at += decoded.bytes;
      }
      const valid = data.toString();
      if (Buffer.from(valid).equals(data)) expect(text).toBe(valid);
    }),
    { seed: 7, numRuns: process.env.VDC_DEEP ? 20_000 : 100 },
  );
});
