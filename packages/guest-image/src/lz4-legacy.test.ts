import { describe, expect, test } from "vitest";
import { expandLz4Legacy } from "./lz4-legacy.ts";

const magic = [0x02, 0x21, 0x4c, 0x18];

function frame(...blocks: readonly (readonly number[])[]): Buffer {
  const parts = blocks.map((block) => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(block.length);
    return Buffer.concat([size, Buffer.from(block)]);
  });
  return Buffer.concat([Buffer.from(magic), ...parts]);
}

const letters = (text: string): readonly number[] => [...Buffer.from(text)];

describe("expandLz4Legacy", () => {
  test("copies literals", () => {
    expect(expandLz4Legacy(frame([0x50, ...letters("hello")])).toString()).toBe("hello");
  });

  test("repeats a match that overlaps its own output", () => {
    // One literal, then a match of 4 + 4 bytes at distance 1, then one literal.
    expect(expandLz4Legacy(frame([0x14, ...letters("a"), 1, 0, 0x10, ...letters("b")])).toString()).toBe("aaaaaaaaab");
  });

  test("reads lengths of more than one byte", () => {
    const text = "x".repeat(15 + 255 + 7);
    expect(expandLz4Legacy(frame([0xf0, 255, 7, ...letters(text)])).toString()).toBe(text);
  });

  test("joins blocks, and passes over the length that a kernel build appends", () => {
    const two = frame([0x20, ...letters("ab")], [0x20, ...letters("cd")]);
    expect(expandLz4Legacy(Buffer.concat([two, Buffer.from([4, 0, 0, 0])])).toString()).toBe("abcd");
  });

  test.each([
    ["no magic", Buffer.from([1, 2, 3, 4])],
    ["a block longer than the input", Buffer.from([...magic, 200, 0, 0, 0, 1])],
    ["literals over the end", frame([0x90, 1, 2])],
    ["a match before the start", frame([0x10, 65, 9, 0, 0x10, 65])],
    ["a match at distance zero", frame([0x10, 65, 0, 0, 0x10, 65])],
    ["a length that is cut off", frame([0xf0, 255])],
    ["an offset that is cut off", frame([0x10, 65, 1])],
  ])("refuses %s", (_, input) => {
    expect(() => expandLz4Legacy(input)).toThrow(expect.objectContaining({ code: "BAD_ARCHIVE" }));
  });
});
