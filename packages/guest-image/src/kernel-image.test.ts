import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { extractKernel, hasDirectEntry } from "./kernel-image.ts";

const noXz = { expandXz: (): Promise<Buffer> => Promise.reject(new Error("no xz here")) };

/** An ELF file with one note. */
function elfWithNote(name: string, type: number): Buffer {
  const elf = Buffer.alloc(256);
  elf.writeUInt32BE(0x7f454c46, 0);
  elf.writeBigUInt64LE(64n, 32);
  elf.writeUInt16LE(56, 54);
  elf.writeUInt16LE(1, 56);
  elf.writeUInt32LE(4, 64);
  elf.writeBigUInt64LE(128n, 64 + 8);
  elf.writeBigUInt64LE(20n, 64 + 32);
  elf.writeUInt32LE(name.length + 1, 128);
  elf.writeUInt32LE(4, 132);
  elf.writeUInt32LE(type, 136);
  elf.write(`${name}\0`, 140);
  return elf;
}

function bzImageWith(payload: Buffer): Buffer {
  const setup = Buffer.alloc(5 * 512);
  setup[0x1f1] = 4;
  setup.write("HdrS", 0x202);
  setup.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([setup, payload]);
}

test("takes a gzip-compressed ELF kernel out of a bzImage", async () => {
  const elf = elfWithNote("Xen", 18);
  expect(await extractKernel(bzImageWith(gzipSync(elf)), noXz)).toEqual(elf);
});

test("knows a kernel that can be entered directly by its note", () => {
  expect(hasDirectEntry(elfWithNote("Xen", 18))).toBe(true);
  expect(hasDirectEntry(elfWithNote("Xen", 6))).toBe(false);
  expect(hasDirectEntry(elfWithNote("GNU", 18))).toBe(false);
  expect(hasDirectEntry(Buffer.alloc(100))).toBe(false);
});

test.each([
  ["has no boot header", Buffer.alloc(4096)],
  ["names a payload outside of itself", bzImageWith(Buffer.alloc(8)).subarray(0, 2560)],
  ["holds something that is not a kernel", bzImageWith(Buffer.alloc(8, 1))],
])("refuses an image that %s", async (_, image) => {
  await expect(extractKernel(image, noXz)).rejects.toMatchObject({ code: "BAD_ARCHIVE" });
});
