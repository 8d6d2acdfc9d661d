import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import fc from "fast-check";
import { expect, it } from "vitest";
import { readLines } from "../../src/remote/read-lines.ts";

async function linesOf(chunks: readonly Uint8Array[], maxLength = 8): Promise<readonly string[]> {
  const lines: string[] = [];
  const input = new PassThrough();
  readLines(input, { maxLength, onLine: (line) => lines.push(line) });
  for (const chunk of chunks) input.write(chunk);
  input.end();
  await finished(input);
  return lines;
}

it("reads lines, also a last one without an end, and drops what is beyond the limit", async () => {
  expect(await linesOf([Buffer.from("one\ntwo\r\n\n12345678\r\n123456789\r\nlast")])).toEqual([
    "one",
    "two",
    "",
    "12345678",
    "12345678",
    "last",
  ]);
});

it("reads the same however the text is cut, and holds no more than a line", async () => {
  const text = fc.string({ unit: fc.constantFrom("a", "é", "\n", "\r\n", "\u{1f600}", "zz"), maxLength: 60 });
  const cuts = fc.array(fc.nat(200), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(text, cuts, async (said, at) => {
      const bytes = Buffer.from(said);
      const bounds = [0, ...at.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const chunks = bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end));
      const lines = await linesOf(chunks);
      expect(lines).toEqual(await linesOf([bytes]));
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(8);
    }),
    { seed: 1, numRuns: process.env.VDC_DEEP ? 5_000 : 200 },
  );
});

it("takes a line that never ends", async () => {
  const chunk = Buffer.alloc(1 << 20, "x");
  expect(await linesOf(Array.from({ length: 64 }, () => chunk))).toEqual(["xxxxxxxx"]);
});
