import { constants, deflateRawSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compressCluster, decompressCluster, zstdFrameLength } from "../src/compression.ts";
import { compressedRange, writeCompressedEntry } from "../src/entry.ts";
import { nodeFileLayer } from "../src/file-layer.ts";
import { readHeader } from "../src/header.ts";
import { loadImageCore } from "../src/image-core.ts";
import { createImageSync } from "../src/index.ts";
import { maximumCount, readCount, writeCount } from "../src/refcount-entry.ts";
import { temporaryFolder } from "./qemu-tools.ts";

const WIDTHS = [1, 2, 4, 8, 16, 32, 64];

describe("refcount entries", () => {
  test("every width holds what was stored, and its neighbours keep theirs", () => {
    const counts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(fc.constantFrom(...WIDTHS), counts, (bits, shares) => {
        const block = Buffer.alloc(128, 0xff);
        const values = shares.map((share) => Math.floor(share * maximumCount(bits)));
        for (const [entry, value] of values.entries()) writeCount(block, entry, bits, value);
        expect(values.map((_value, entry) => readCount(block, entry, bits))).toEqual(values);
        expect(block.subarray(2 * bits).every((byte) => byte === 0xff)).toBe(true);
      }),
      { seed: 5, numRuns: process.env.VDC_DEEP ? 5000 : 200 },
    );
  });

  test.each([1, 2, 4])("a count that %d bits cannot hold is refused, and the old one stays", (refcountBits) => {
    const folder = temporaryFolder();
    const path = folder.file("a.qcow2");
    createImageSync({ path, virtualSizeBytes: 1 << 20, refcountBits });
    const file = nodeFileLayer.openSync(path, { write: true });
    try {
      const header = readHeader(file);
      const core = loadImageCore({
        file,
        dataFile: undefined,
        header,
        write: true,
        backing: undefined,
        cacheBytes: 4096,
      });
      const refcounts = core.writer?.refcounts;
      const store = (): void => refcounts?.set(0, 2 ** refcountBits);
      expect(store).toThrow(expect.objectContaining({ code: "REFCOUNT_LIMIT" }));
      expect(store).toThrow(`${refcountBits}-bit`);
      expect(refcounts?.get(0)).toBe(1);
    } finally {
      file.closeSync();
      folder.remove();
    }
  });
});

describe("compressed clusters", () => {
  test("an entry tells where its bytes are, for every cluster size", () => {
    for (let clusterBits = 9; clusterBits <= 21; clusterBits++) {
      const entry = Buffer.alloc(8);
      for (const offset of [0, 511, 512, 100_001, 2 ** 33 + 77, 2 ** 45 + 513]) {
        for (const length of [1, 300, 2 ** clusterBits - 1]) {
          writeCompressedEntry(entry, 0, { offset, length, clusterBits });
          const range = compressedRange(entry, 0, clusterBits);
          expect(range?.offset).toBe(offset);
          expect(range?.length).toBeGreaterThanOrEqual(length);
          expect(range?.length).toBeLessThan(length + 512);
        }
      }
    }
  });

  test("both methods give back what they packed, whatever follows", async () => {
    const data = Buffer.alloc(65_536);
    for (let at = 0; at < data.length; at += 31) data[at] = at % 253;
    for (const method of ["zlib", "zstd"] as const) {
      const packed = await compressCluster(data, method);
      for (const rest of [Buffer.alloc(0), Buffer.alloc(511), Buffer.alloc(511, 0x28), packed]) {
        expect(decompressCluster(Buffer.concat([packed, rest]), method, data.length).equals(data)).toBe(true);
      }
    }
  });

  test("what would become larger than a cluster, or needs much memory, is refused", () => {
    const bomb = Buffer.alloc(1 << 22);
    expect(() => decompressCluster(deflateRawSync(bomb), "zlib", 65_536)).toThrow();
    expect(() => decompressCluster(zstdCompressSync(bomb), "zstd", 65_536)).toThrow();
    // A frame that asks for a window of 128 MiB.
    const wide = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00]);
    expect(() => decompressCluster(wide, "zstd", 65_536)).toThrow(/memory|window/i);
    const narrow = Buffer.from(wide);
    narrow.writeUInt8(10 << 3, 5);
    expect(decompressCluster(narrow, "zstd", 65_536).length).toBe(0);
  });

  test("the length of a frame is found, and no bytes make that fail", () => {
    for (const options of [{}, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }]) {
      for (const size of [0, 1, 255, 256, 65_792, 300_000]) {
        const packed = zstdCompressSync(Buffer.alloc(size, 9), options);
        expect(zstdFrameLength(Buffer.concat([packed, Buffer.alloc(99, 1)]))).toBe(packed.length);
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const frame = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), bytes]);
        expect(zstdFrameLength(frame)).toBeLessThanOrEqual(frame.length);
      }),
      { seed: 6, numRuns: 500 },
    );
  });
});
