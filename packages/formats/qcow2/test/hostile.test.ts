import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { backingFolder, createImage, inspect, Qcow2Error, Qcow2Image } from "../src/index.ts";
import { temporaryFolder } from "./qemu-tools.ts";
import { RecordingFile, recordingLayer } from "./recording-layer.ts";

const MIB = 1 << 20;
/** The worst that an image did to this process. */
const worst = { images: 0, seconds: 0, residentBytes: 0 };
afterAll(() => {
  const { images, seconds, residentBytes } = worst;
  console.log(
    `hostile images: ${images}, each a coded error or a working image within ${seconds.toFixed(2)} s and ${Math.ceil(residentBytes / MIB)} MiB`,
  );
});

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "none";
  } catch (error) {
    if (error instanceof Qcow2Error) return error.code;
    throw error;
  }
}

describe("headers of unknown origin", () => {
  test.each([
    ["plain", { clusterSizeBytes: 4096 }],
    [
      "extended, 1-bit refcounts, zstd",
      { extendedL2: true, clusterSizeBytes: 16_384, refcountBits: 1, compression: "zstd" },
    ],
    ["64-bit refcounts, data file", { clusterSizeBytes: 4096, refcountBits: 64, dataFile: { path: "data" } }],
  ] as const)(
    "a changed file gives a working image or a coded error, never anything else: %s",
    async (_name, format) => {
      const path = folder.file("a.qcow2");
      await createImage({ path, virtualSizeBytes: 1 << 20, ...format });
      const resolveDataFile = () => ({ path: folder.file("data") });
      await using image = await Qcow2Image.open(path, { resolveDataFile });
      await image.write(Buffer.alloc(300_000, 7), 1000);
      if (!("dataFile" in format)) await image.writeCompressed(Buffer.alloc(131_072, 7), 524_288);
      const data = "dataFile" in format ? readFileSync(folder.file("data")) : Buffer.alloc(0);
      const good = readFileSync(path);
      const change = fc.record({
        at: fc.oneof(fc.nat(120), fc.nat(good.length - 1)),
        bytes: fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.constant(new Uint8Array(8).fill(255))),
      });
      const residentBytes = process.memoryUsage.rss();
      const property = fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        async (changes, readOnly) => {
          const bytes = Buffer.from(good);
          for (const { at, bytes: patch } of changes) bytes.set(patch.subarray(0, bytes.length - at), at);
          const fileLayer = recordingLayer(
            new Map([
              ["x", new RecordingFile(bytes)],
              [folder.file("data"), new RecordingFile(data)],
            ]),
          );
          const started = performance.now();
          try {
            const opened = await Qcow2Image.open("x", { fileLayer, readOnly, lock: false, resolveDataFile });
            const buffer = Buffer.alloc(65536);
            for (let at = 0; at + buffer.length <= Math.min(opened.sizeBytes, 1 << 20); at += buffer.length) {
              await opened.read(buffer, at);
            }
            await opened.check();
            if (!readOnly && opened.sizeBytes >= 65536) await opened.write(buffer, opened.sizeBytes - 65536);
            await opened.close();
          } catch (error) {
            if (!(error instanceof Qcow2Error)) throw error;
          }
          const elapsedMs = performance.now() - started;
          worst.images++;
          worst.seconds = Math.max(worst.seconds, elapsedMs / 1000);
          worst.residentBytes = Math.max(worst.residentBytes, process.memoryUsage.rss() - residentBytes);
          expect(elapsedMs).toBeLessThan(10_000);
          expect(worst.residentBytes).toBeLessThan(512 * MIB);
        },
      );
      await fc.assert(property, { seed: 99, numRuns: process.env.VDC_DEEP ? 7000 : 500 });
    },
  );

  test("features that are not supported are refused by name", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: 1 << 20 });
    // One name is in the file itself: the entry of another feature is changed into it.
    const bits = [
      [5, "time travel"],
      [9, "unnamed bit 9"],
      [31, "unnamed bit 31"],
    ] as const;
    for (const [bit, name] of bits) {
      const bytes = readFileSync(path);
      const entry = bytes.indexOf("dirty bit") - 2;
      bytes.writeUInt8(5, entry + 1);
      bytes.write("time travel\0", entry + 2);
      bytes.writeUInt32BE((1 << bit) >>> 0, 76);
      writeFileSync(folder.file("b.qcow2"), bytes);
      await expect(Qcow2Image.open(folder.file("b.qcow2"))).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
      await expect(Qcow2Image.open(folder.file("b.qcow2"))).rejects.toThrow(name);
      expect((await inspect(folder.file("b.qcow2"))).unsupported.join()).toContain(name);
    }
    for (const [method, name] of [
      [1, "AES"],
      [2, "LUKS"],
    ] as const) {
      const encrypted = readFileSync(path);
      encrypted.writeUInt32BE(method, 32);
      writeFileSync(folder.file("c.qcow2"), encrypted);
      expect(await codeOf(Qcow2Image.open(folder.file("c.qcow2")))).toBe("ENCRYPTED");
      await expect(Qcow2Image.open(folder.file("c.qcow2"))).rejects.toThrow(name);
      expect((await inspect(folder.file("c.qcow2"))).encryption).toBe(name.toLowerCase());
    }
    writeFileSync(folder.file("luks"), "LUKS\xba\xbe and more");
    expect(await codeOf(inspect(folder.file("luks")))).toBe("ENCRYPTED");
    writeFileSync(folder.file("raw"), Buffer.alloc(4096));
    expect(await codeOf(inspect(folder.file("raw")))).toBe("NOT_QCOW2");
    expect(await codeOf(inspect(folder.path))).toBe("NOT_REGULAR_FILE");
  });
});

describe("backing references", () => {
  const open = (path: string): Promise<Qcow2Image> =>
    Qcow2Image.open(path, { resolveBacking: backingFolder(folder.path) });
  /** A name of the same length is patched in, since `createImage` refuses to write a hostile one. */
  const overlay = async (name: string): Promise<string> => {
    const path = folder.file("top.qcow2");
    const placeholder = "x".repeat(name.length);
    await createImage({ path, virtualSizeBytes: 1 << 20, backing: { path: placeholder, format: "qcow2" } });
    const bytes = readFileSync(path);
    bytes.write(name, bytes.lastIndexOf(placeholder));
    writeFileSync(path, bytes);
    return path;
  };

  test.each([
    ['json:{"driver":"file","filename":"/etc/passwd"}', "BACKING_REFUSED"],
    ["nbd://localhost", "BACKING_REFUSED"],
    ["../outside", "BACKING_REFUSED"],
    ["/etc/passwd", "BACKING_REFUSED"],
    [".", "BACKING_REFUSED"],
    ["absent", "BACKING_MISSING"],
    ["top.qcow2", "BACKING_LOOP"],
  ])("'%s' gives %s", async (name, code) => {
    expect(await codeOf(open(await overlay(name)))).toBe(code);
  });

  test("a symbolic link is not followed, and without a resolver nothing is", async () => {
    await createImage({ path: folder.file("base"), virtualSizeBytes: 1 << 20 });
    symlinkSync(folder.file("base"), folder.file("link"));
    expect(await codeOf(open(await overlay("link")))).toBe("BACKING_REFUSED");
    expect(await codeOf(Qcow2Image.open(folder.file("top.qcow2")))).toBe("BACKING_REFUSED");
  });
});
