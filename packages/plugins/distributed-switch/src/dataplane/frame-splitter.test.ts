import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_FRAME_BYTES, recordOf } from "./ethernet-frame.ts";
import { FrameSplitter } from "./frame-splitter.ts";

const runs = { seed: 11, numRuns: process.env.VDC_DEEP ? 5000 : 300 };

function collector(): { splitter: FrameSplitter; frames: Buffer[]; tooLong: number[] } {
  const frames: Buffer[] = [];
  const tooLong: number[] = [];
  const splitter = new FrameSplitter({
    onFrame: (buffer, start, end) => {
      expect(buffer.readUInt32BE(start - 4)).toBe(end - start);
      frames.push(Buffer.from(buffer.subarray(start, end)));
    },
    onTooLong: (length) => tooLong.push(length),
  });
  return { splitter, frames, tooLong };
}

function cut(stream: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, index = 0; at < stream.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(stream.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

describe("FrameSplitter", () => {
  it("finds the same frames however the stream is cut, and skips what is too long", () => {
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .constantFrom(MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1, 60_000)
        .map((length) => new Uint8Array(length).fill(length)),
    );
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 70_000 })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), sizes, (sent, chunkSizes) => {
        const { splitter, frames, tooLong } = collector();
        for (const chunk of cut(Buffer.concat(sent.map(recordOf)), chunkSizes)) expect(splitter.push(chunk)).toBe(true);
        const fits = sent.filter(({ length }) => length <= MAX_FRAME_BYTES);
        expect(frames.length).toBe(fits.length);
        for (const [index, { length }] of fits.entries()) {
          expect(Buffer.compare(frames[index] ?? Buffer.alloc(0), fits[index] ?? Buffer.alloc(0)), `${length}`).toBe(0);
        }
        expect(tooLong).toEqual(sent.map(({ length }) => length).filter((length) => length > MAX_FRAME_BYTES));
      }),
      { ...runs, numRuns: process.env.VDC_DEEP ? 500 : 100 },
    );
  });

  it("gives up the stream on a length that no frame has, whole or in parts", () => {
    for (const size of [1, 3, 4, 100]) {
      const { splitter } = collector();
      const results = cut(Buffer.from("ffffffff00000000", "hex"), [size]).map((chunk) => splitter.push(chunk));
      expect(results).toContain(false);
    }
  });

  it("survives any bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 })), (chunks) => {
        const { splitter } = collector();
        for (const chunk of chunks) if (!splitter.push(Buffer.from(chunk))) return;
      }),
      runs,
    );
  });
});
