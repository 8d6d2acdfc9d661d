import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

const runs = process.env.VDC_DEEP ? 2000 : 100;

function split(splitter: LineSplitter, chunks: readonly Buffer[]): string[] {
  const lines: string[] = [];
  for (const chunk of chunks) splitter.push(chunk, (line) => lines.push(line));
  return lines;
}

describe("LineSplitter", () => {
  test("gives the same lines whatever the chunk borders", () => {
    const line = fc.string({ unit: "binary" }).map((text) => text.replaceAll(/\s/gu, "_"));
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        (lines, sizes) => {
          const bytes = Buffer.from(lines.map((text) => `${text}\r\n`).join(""));
          const chunks: Buffer[] = [];
          for (let at = 0; at < bytes.length; ) {
            const size = sizes.next().value as number;
            chunks.push(bytes.subarray(at, at + size));
            at += size;
          }
          const expected = lines.map((text) => Buffer.from(text).toString().trim()).filter((text) => text !== "");
          expect(split(new LineSplitter(4096), chunks)).toEqual(expected);
        },
      ),
      { seed: 20240, numRuns: runs },
    );
  });

  test("joins pieces on both sides of its merge size", () => {
    const text = "x".repeat(20_000);
    const pieces = [5000, 10, 4000, 4095, 1, 6894].map((size) => Buffer.from("x".repeat(size)));
    const splitter = new LineSplitter(20_000);
    expect(split(splitter, [...pieces, Buffer.from("\n")])).toEqual([text]);
    expect(splitter.heldBytes).toBe(0);
  });

  test("refuses a line over the limit as soon as the limit is passed", () => {
    const splitter = new LineSplitter(10);
    expect(split(splitter, [Buffer.from("0123456789\n"), Buffer.from("01234")])).toEqual(["0123456789"]);
    expect(splitter.heldBytes).toBe(5);
    expect(() => split(splitter, [Buffer.from("567890")])).toThrowError(
      expect.objectContaining({ code: "QMP_LINE_TOO_LONG" }),
    );
    expect(splitter.heldBytes).toBe(0);
  });
});
