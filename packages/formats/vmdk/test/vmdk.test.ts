import { execFileSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingPrograms } from "@vdc-os/testing";
import fc from "fast-check";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVmdk, type DiskSource, VmdkDisk, VmdkError } from "../src/index.ts";

const hasQemuImg = !missingPrograms(["qemu-img"], "QEMU judges no image");

let folder = "";
const file = (name: string): string => join(folder, name);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vmdk-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const MIB = 1 << 20;

/** The worst that a damaged file did to this process. */
const worst = { images: 0, seconds: 0, residentBytes: 0 };
afterAll(() => {
  const { images, seconds, residentBytes } = worst;
  console.log(
    `hostile images: ${images}, each a coded error or a working disk within ${seconds.toFixed(2)} s and ${Math.ceil(residentBytes / MIB)} MiB`,
  );
});

function memoryDisk(
  content: Buffer,
  holes: readonly { readonly from: number; readonly to: number }[] = [],
): DiskSource {
  return {
    sizeBytes: content.length,
    async read(buffer, offset) {
      content.copy(buffer, 0, offset, offset + buffer.length);
    },
    map(offset, length) {
      const cuts = [offset, offset + length, ...holes.flatMap(({ from, to }) => [from, to])]
        .filter((cut) => cut >= offset && cut <= offset + length)
        .sort((a, b) => a - b);
      return cuts.slice(1).map((end, index) => {
        const start = cuts[index] ?? 0;
        const hole = holes.some(({ from, to }) => from <= start && end <= to);
        return { offset: start, length: end - start, kind: hole ? ("hole" as const) : ("data" as const), depth: 0 };
      });
    },
  };
}

/** Content with compressible, random and empty parts. */
function someContent(size: number, seed: number): Buffer {
  const content = Buffer.alloc(size);
  let state = seed;
  for (let at = 0; at < size; at += 4096) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    const kind = (state >> 16) % 4;
    if (kind === 0) continue;
    for (let byte = at; byte < Math.min(size, at + 4096); byte++) {
      if (kind === 2) state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
      content[byte] = kind === 1 ? kind : (state >> 16) & 255;
    }
  }
  return content;
}

async function contentOf(path: string): Promise<Buffer> {
  await using disk = await VmdkDisk.open(path);
  const content = Buffer.alloc(disk.sizeBytes);
  await disk.read(content, 0);
  return content;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "none";
  } catch (error) {
    if (error instanceof VmdkError) return error.code;
    throw error;
  }
}

test("what is written is read back, and progress is told", async () => {
  const content = someContent(5 * MIB + 512 * 7, 1);
  content.fill(0, 0, MIB);
  const seen: number[] = [];
  await createVmdk({
    path: file("a.vmdk"),
    source: memoryDisk(content, [{ from: 0, to: MIB }]),
    onProgress: ({ doneBytes }) => seen.push(doneBytes),
  });
  expect((await contentOf(file("a.vmdk"))).equals(content)).toBe(true);
  expect(seen.at(-1)).toBe(content.length);
  await using disk = await VmdkDisk.open(file("a.vmdk"));
  expect(disk.descriptor).toMatchObject({ createType: "streamOptimized", database: { "ddb.adapterType": "lsilogic" } });
  expect(disk.map(0, 2 * MIB)[0]).toEqual({ offset: 0, length: MIB, kind: "hole", depth: 0 });
});

describe.skipIf(!hasQemuImg)("judged by QEMU", () => {
  test("QEMU reads ours, and finds the same content", async () => {
    const content = someContent(67 * MIB, 2);
    writeFileSync(file("a.raw"), content);
    await createVmdk({ path: file("a.vmdk"), source: memoryDisk(content) });
    execFileSync("qemu-img", ["compare", "-f", "raw", "-F", "vmdk", file("a.raw"), file("a.vmdk")]);
    execFileSync("qemu-img", ["check", "-f", "vmdk", file("a.vmdk")]);
    const info = JSON.parse(execFileSync("qemu-img", ["info", "--output=json", file("a.vmdk")], { encoding: "utf8" }));
    expect(info).toMatchObject({ format: "vmdk", "virtual-size": content.length });
    expect(info["format-specific"].data["create-type"]).toBe("streamOptimized");
  });

  test.each(["streamOptimized", "monolithicSparse"])("ours reads what QEMU wrote as %s", async (subformat) => {
    const content = someContent(35 * MIB, 3);
    writeFileSync(file("a.raw"), content);
    const to = ["-O", "vmdk", "-o", `subformat=${subformat}`, file("a.vmdk")];
    execFileSync("qemu-img", ["convert", "-f", "raw", file("a.raw"), ...to]);
    expect((await contentOf(file("a.vmdk"))).equals(content)).toBe(true);
  });

  test.each(["monolithicFlat", "twoGbMaxExtentSparse"])("disks in several files are refused: %s", async (subformat) => {
    execFileSync("qemu-img", ["create", "-f", "vmdk", "-o", `subformat=${subformat}`, file("a.vmdk"), "4M"]);
    expect(await codeOf(VmdkDisk.open(file("a.vmdk")))).toBe("EXTENT_REFUSED");
    const extent = readdirSync(folder).find((name) => name.includes("-s0"));
    if (extent !== undefined) expect(await codeOf(VmdkDisk.open(file(extent)))).toBe("UNSUPPORTED_FEATURE");
  });
});

test("a 1 TiB disk of holes is a small file, in little time", async () => {
  const sizeBytes = 2 ** 40;
  const source: DiskSource = {
    sizeBytes,
    read: async (buffer) => void buffer.fill(1),
    map: (offset, length) =>
      offset === 0
        ? [
            { offset: 0, length: 65_536, kind: "data", depth: 0 },
            { offset: 65_536, length: length - 65_536, kind: "hole", depth: 0 },
          ]
        : [{ offset, length, kind: "hole", depth: 0 }],
  };
  await createVmdk({ path: file("a.vmdk"), source });
  expect(statSync(file("a.vmdk")).size).toBeLessThan(MIB);
  await using disk = await VmdkDisk.open(file("a.vmdk"));
  expect(disk.sizeBytes).toBe(sizeBytes);
  const buffer = Buffer.alloc(4096);
  await disk.read(buffer, 65_536 - 2048);
  expect(buffer[0]).toBe(1);
  expect(buffer[4095]).toBe(0);
});

test("what is cancelled or refused leaves nothing", async () => {
  const source = memoryDisk(someContent(4 * MIB, 5));
  const controller = new AbortController();
  const onProgress = (): void => controller.abort();
  expect(await codeOf(createVmdk({ path: file("a.vmdk"), source, onProgress, signal: controller.signal }))).toBe(
    "ABORTED",
  );
  expect(readdirSync(folder)).toEqual([]);
  writeFileSync(file("b.vmdk"), "mine");
  expect(await codeOf(createVmdk({ path: file("b.vmdk"), source }))).toBe("ALREADY_EXISTS");
  expect(readFileSync(file("b.vmdk"), "utf8")).toBe("mine");
  expect(readdirSync(folder)).toEqual(["b.vmdk"]);
});

describe("files of unknown origin", () => {
  test("a link, a folder, a file cut short, a difference disk and another format are refused by code", async () => {
    await createVmdk({ path: file("a.vmdk"), source: memoryDisk(someContent(MIB, 6)) });
    symlinkSync(file("a.vmdk"), file("link"));
    expect(await codeOf(VmdkDisk.open(file("link")))).toBe("NOT_REGULAR_FILE");
    expect(await codeOf(VmdkDisk.open(folder))).toBe("NOT_REGULAR_FILE");
    expect(await codeOf(VmdkDisk.open(file("absent")))).toBe("NOT_FOUND");
    const bytes = readFileSync(file("a.vmdk"));
    writeFileSync(
      file("difference"),
      Buffer.from(bytes.toString("latin1").replace("parentCID=ffffffff", "parentCID=12345678"), "latin1"),
    );
    expect(await codeOf(VmdkDisk.open(file("difference")))).toBe("EXTENT_REFUSED");
    truncateSync(file("a.vmdk"), bytes.length - 1024);
    expect(await codeOf(VmdkDisk.open(file("a.vmdk")))).toBe("CORRUPT");
    writeFileSync(file("b"), Buffer.alloc(4096, 1));
    expect(await codeOf(VmdkDisk.open(file("b")))).toBe("NOT_VMDK");
  });

  test("any damage gives the content, zeroes or a coded error, in bounded memory", async () => {
    await createVmdk({ path: file("a.vmdk"), source: memoryDisk(someContent(MIB, 7)) });
    const good = readFileSync(file("a.vmdk"));
    const place = fc.oneof(
      fc.nat(600),
      fc.nat(good.length - 1),
      fc.integer({ min: good.length - 4096, max: good.length - 1 }),
    );
    const change = fc.record({
      at: place,
      bytes: fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.constant(new Uint8Array(8).fill(255))),
    });
    let number = 0;
    const residentBytes = process.memoryUsage.rss();
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), async (changes) => {
        const bytes = Buffer.from(good);
        for (const { at, bytes: patch } of changes) bytes.set(patch.subarray(0, bytes.length - at), at);
        const path = file(`${number++}.vmdk`);
        writeFileSync(path, bytes);
        const started = performance.now();
        try {
          await using disk = await VmdkDisk.open(path);
          const buffer = Buffer.alloc(65_536);
          for (let at = 0; at + buffer.length <= Math.min(disk.sizeBytes, 2 * MIB); at += buffer.length) {
            await disk.read(buffer, at);
          }
          disk.map(0, Math.min(disk.sizeBytes, 64 * MIB));
        } catch (error) {
          if (!(error instanceof VmdkError)) throw error;
        } finally {
          rmSync(path);
        }
        worst.images++;
        worst.seconds = Math.max(worst.seconds, (performance.now() - started) / 1000);
        worst.residentBytes = Math.max(worst.residentBytes, process.memoryUsage.rss() - residentBytes);
        expect(worst.seconds).toBeLessThan(10);
        expect(worst.residentBytes).toBeLessThan(512 * MIB);
      }),
      { seed: 12, numRuns: process.env.VDC_DEEP ? 10_000 : 1000 },
    );
  });
});
