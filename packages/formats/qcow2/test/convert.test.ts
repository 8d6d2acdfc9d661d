import { readdirSync, statSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  backingFolder,
  convert,
  createImage,
  type FileLayer,
  nodeFileLayer,
  openRawSource,
  Qcow2Error,
  Qcow2Image,
} from "../src/index.ts";
import { nativeFileCalls } from "../src/native-file-calls.ts";
import { hasQemuImg, qemuCheck, qemuImg, temporaryFolder } from "./qemu-tools.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;

/** Data, zeroes and text that compresses well. */
function someContent(size: number): Buffer {
  const content = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4096) {
    if ((at / 65536) % 3 < 1) continue;
    content.writeUInt32BE((at * 2_654_435_761) >>> 0, at);
    if ((at / 65536) % 3 > 1.5) content.fill("text ", at + 8, Math.min(size, at + 4096));
  }
  return content;
}

describe.skipIf(!hasQemuImg)("judged by QEMU", () => {
  const content = someContent(9 * MIB + 700);
  const targets = [
    { format: "raw" },
    { format: "qcow2" },
    { format: "qcow2", compressed: true },
    { format: "qcow2", compressed: true, compression: "zstd" },
    { format: "qcow2", clusterSizeBytes: 2 * MIB, extendedL2: true },
  ] as const;
  test.each(targets)("a raw file becomes %o, and that the same again", async (target) => {
    writeFileSync(folder.file("a.raw"), content);
    const source = await openRawSource(folder.file("a.raw"));
    const path = folder.file("b");
    const seen: number[] = [];
    await convert(source, { ...target, path }, { onProgress: ({ doneBytes }) => seen.push(doneBytes) });
    await source.close();
    expect(seen.at(-1)).toBeGreaterThanOrEqual(content.length);
    if (target.format === "qcow2") qemuCheck(path);
    qemuImg("compare", "-f", "raw", "-F", target.format, folder.file("a.raw"), path);
    const from = target.format === "raw" ? await openRawSource(path) : await Qcow2Image.open(path, { readOnly: true });
    await convert(from, { format: "raw", path: folder.file("c.raw") });
    await from.close();
    qemuImg("compare", "-f", "raw", "-F", "raw", folder.file("a.raw"), folder.file("c.raw"));
    expect(readdirSync(folder.path).sort()).toEqual(["a.raw", "b", "c.raw"]);
  });

  test("a chain becomes one image", async () => {
    writeFileSync(folder.file("base.raw"), content.subarray(0, 8 * MIB));
    const top = folder.file("top.qcow2");
    await createImage({ path: top, virtualSizeBytes: 8 * MIB, backing: { path: "base.raw", format: "raw" } });
    {
      await using image = await Qcow2Image.open(top, { resolveBacking: backingFolder(folder.path) });
      await image.write(Buffer.alloc(100_000, 5), MIB);
      await image.writeZeroes(2 * MIB, MIB);
      await convert(image, { format: "qcow2", path: folder.file("one.qcow2") });
    }
    qemuImg("compare", "-f", "qcow2", "-F", "qcow2", top, folder.file("one.qcow2"));
    expect(qemuImg("info", folder.file("one.qcow2"))).not.toContain("backing");
  });
});

test.skipIf(nativeFileCalls() === undefined)("the holes of a raw file are not read", async () => {
  const path = folder.file("a.raw");
  writeFileSync(path, Buffer.alloc(MIB, 1));
  const { truncateSync } = await import("node:fs");
  truncateSync(path, 2 ** 40);
  const source = await openRawSource(path);
  expect(source.map(0, 2 ** 40)).toEqual([
    { offset: 0, length: MIB, kind: "data", depth: 0 },
    { offset: MIB, length: 2 ** 40 - MIB, kind: "hole", depth: 0 },
  ]);
  await convert(source, { format: "qcow2", path: folder.file("b.qcow2") });
  expect(statSync(folder.file("b.qcow2")).size).toBeLessThan(4 * MIB);
  await source.close();
});

test("what is there already stays, and what is cancelled leaves nothing", async () => {
  writeFileSync(folder.file("a.raw"), someContent(4 * MIB));
  writeFileSync(folder.file("b"), "mine");
  const source = await openRawSource(folder.file("a.raw"));
  const codeOf = (work: Promise<void>): Promise<unknown> =>
    work.then(
      () => "none",
      (error: unknown) => (error instanceof Qcow2Error ? error.code : error),
    );
  expect(await codeOf(convert(source, { format: "qcow2", path: folder.file("b") }))).toBe("ALREADY_EXISTS");
  const abort = new AbortController();
  const options = { signal: abort.signal, onProgress: () => abort.abort() };
  for (const format of ["raw", "qcow2"] as const) {
    expect(await codeOf(convert(source, { format, path: folder.file("c") }, options))).toBe("ABORTED");
  }
  await source.close();
  expect(readdirSync(folder.path).sort()).toEqual(["a.raw", "b"]);
});

/** The real file system, where asking for space ahead goes as it is told. */
function reserving(reserve: (real: () => boolean) => boolean): FileLayer {
  return {
    ...nodeFileLayer,
    openSync(path, options) {
      const file = nodeFileLayer.openSync(path, options);
      const real = file.reserveSync;
      return real ? Object.assign(file, { reserveSync: (at: number, n: number) => reserve(() => real(at, n)) }) : file;
    },
  };
}

describe.skipIf(nativeFileCalls() === undefined)("space that is asked for ahead", () => {
  // More than is asked for at first, and not a multiple of it; every third piece of 64 KiB is zero.
  const content = someContent(11 * MIB + 512);

  async function sizesOf(path: string, fileLayer: FileLayer) {
    writeFileSync(folder.file(`${path}.raw`), content);
    const source = await openRawSource(folder.file(`${path}.raw`));
    await convert(source, { format: "qcow2", path: folder.file(path) }, { fileLayer });
    await source.close();
    const image = await Qcow2Image.open(folder.file(path), { readOnly: true });
    const read = Buffer.alloc(content.length);
    image.readSync(read, 0);
    await image.close();
    expect(read.equals(content)).toBe(true);
    const { size, blocks } = statSync(folder.file(path));
    return { size, blocks };
  }

  test("is given back where it is not needed, and zeroes inside of data take none", async () => {
    let asked = 0;
    const sizes = await sizesOf(
      "ahead",
      reserving((real) => {
        asked++;
        return real();
      }),
    );
    expect(asked).toBeGreaterThan(1);
    const pieces = Math.floor(content.length / 65536);
    // The header and the tables are few clusters.
    expect(sizes.size).toBeLessThanOrEqual((Math.ceil((pieces * 2) / 3) + 8) * 65536);
    expect(sizes.blocks * 512).toBeLessThanOrEqual(sizes.size + 65536);
  });

  test("is done without where the file system has none to give, or ends half-way", async () => {
    let calls = 0;
    const plain = await sizesOf(
      "plain",
      reserving(() => false),
    );
    const cut = await sizesOf(
      "cut",
      reserving((real) => ++calls < 2 && real()),
    );
    expect(cut.size).toBe(plain.size);
  });
});
