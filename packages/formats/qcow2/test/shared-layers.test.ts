import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backingFolder, changedBetween, createImageSync, type OpenImageOptions, Qcow2Image } from "../src/index.ts";

const mib = 1024 * 1024;
const size = 96 * mib;

let folder: string;
let options: OpenImageOptions;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-shared-"));
  options = { resolveBacking: backingFolder(folder) };
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pathOf = (name: string): string => join(folder, `${name}.qcow2`);

async function make(
  name: string,
  below: string | undefined,
  clusterSizeBytes = 65536,
  virtualSizeBytes = size,
): Promise<void> {
  const backing = below === undefined ? {} : { backing: { path: `${below}.qcow2`, format: "qcow2" as const } };
  createImageSync({ path: pathOf(name), virtualSizeBytes, clusterSizeBytes, durable: false, ...backing });
}

async function write(
  name: string,
  changes: readonly (readonly [offset: number, length: number, byte: number])[],
): Promise<void> {
  await using image = await Qcow2Image.open(pathOf(name), options);
  for (const [offset, length, byte] of changes) {
    if (byte === 0) image.writeZeroesSync(offset, length);
    else image.writeSync(Buffer.alloc(length, byte), offset);
  }
}

/** Open descriptors of this process on the files of the folder. */
function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

/** What has just been written counts as changing still. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 80));

describe("a chain of layers", () => {
  test("of any cluster and disk sizes reads and maps as its layers one by one", async () => {
    const model = Buffer.alloc(size);
    const sizes = [65536, 4096, 512, 131072, 65536, 65536];
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return seed % below;
    };
    for (const [index, clusterBytes] of sizes.entries()) {
      // One layer is smaller than what lies on it: what it does not reach reads as zeros.
      const bytes = index === 2 ? 40 * mib + 5120 : size;
      if (index === 2) model.fill(0, bytes);
      await make(`l${index}`, index === 0 ? undefined : `l${index - 1}`, clusterBytes, bytes);
      const changes: [number, number, number][] = [];
      for (let change = 0; change < 40; change++) {
        const offset = random(bytes / 512 - 300) * 512 + (change % 3 === 0 ? 0 : random(400));
        const length = Math.min(bytes - offset, 1 + random(change % 5 === 0 ? 140_000 : 9000));
        const byte = change % 4 === 0 ? 0 : 1 + random(255);
        changes.push([offset, length, byte]);
        model.fill(byte, offset, offset + length);
      }
      await write(`l${index}`, changes);
    }
    await make("top", "l5");
    await using image = await Qcow2Image.open(pathOf("top"), options);
    const buffer = Buffer.alloc(3 * mib);
    for (let at = 0; at < size; at += buffer.length) {
      await image.readWithoutWaiting(buffer, at);
      expect(buffer.equals(model.subarray(at, at + buffer.length))).toBe(true);
    }
    for (let round = 0; round < 300; round++) {
      const offset = random(size - 70_000);
      const part = buffer.subarray(0, 1 + random(70_000));
      image.readSync(part, offset);
      expect(part.equals(model.subarray(offset, offset + part.length))).toBe(true);
    }
    // In large ranges the layers are asked one by one, in small ones their map.
    const whole = image.map(0, size);
    for (const step of [mib, 65536]) {
      let at = 0;
      for (const extent of whole) {
        expect(extent.offset).toBe(at);
        at += extent.length;
      }
      for (let offset = 0; offset < size; offset += step) {
        for (const extent of image.map(offset, step)) {
          const around = whole.find((one) => one.offset + one.length > extent.offset);
          expect(around).toMatchObject({ kind: extent.kind, depth: extent.depth });
          expect(extent.offset + extent.length).toBeLessThanOrEqual((around?.offset ?? 0) + (around?.length ?? 0));
        }
      }
    }
  }, 60_000);

  test("is shared by all images on it, and closed with the last one", async () => {
    await make("base", undefined);
    await write("base", [[0, mib, 1]]);
    await make("middle", "base");
    await write("middle", [[mib, mib, 2]]);
    for (const name of ["a", "b", "c"]) await make(name, "middle");
    await settle();
    const before = openFiles();
    const images = await Promise.all(["a", "b", "c"].map((name) => Qcow2Image.open(pathOf(name), options)));
    expect(openFiles() - before).toBe(3 + 2);
    const byteAt = (image: Qcow2Image | undefined, offset: number): number => {
      const byte = Buffer.alloc(1);
      image?.readSync(byte, offset);
      return byte[0] ?? -1;
    };
    images[0]?.writeSync(Buffer.alloc(10, 9), 5);
    expect(images.map((image) => byteAt(image, 6))).toEqual([9, 1, 1]);
    await images[0]?.close();
    await images[1]?.flatten();
    expect(byteAt(images[1], mib)).toBe(2);
    expect(byteAt(images[2], mib)).toBe(2);
    await images[1]?.close();
    expect(byteAt(images[2], mib + 1)).toBe(2);
    await images[2]?.close();
    expect(openFiles()).toBe(before);
  });

  test("that was changed is opened anew, and whoever has it open reads on what it was", async () => {
    await make("base", undefined);
    await write("base", [[0, mib, 1]]);
    await make("a", "base");
    await make("b", "base");
    await settle();
    const byte = Buffer.alloc(1);
    await using first = await Qcow2Image.open(pathOf("a"), options);
    first.readSync(byte, 0);
    expect(byte[0]).toBe(1);
    // Not what anybody should do, but what the format allows while nobody has the claim.
    await using base = await Qcow2Image.open(pathOf("base"), { ...options, lock: false });
    base.writeSync(Buffer.alloc(mib, 3), 2 * mib);
    await base.close();
    utimesSync(pathOf("base"), 1, 1);
    await using second = await Qcow2Image.open(pathOf("b"), options);
    second.readSync(byte, 2 * mib);
    expect(byte[0]).toBe(3);
  });

  test("of another moment is compared by maps: what differs is in the ranges, what lies in shared layers is not", async () => {
    await make("base", undefined);
    await write("base", [[0, 8 * mib, 1]]);
    await make("a", "base");
    await make("b", "base");
    await write("a", [[mib, 70_000, 2]]);
    await write("b", [
      [4 * mib + 5, 10, 3],
      [6 * mib, mib, 0],
      [50 * mib, 4096, 4],
    ]);
    await using before = await Qcow2Image.open(pathOf("a"), { ...options, readOnly: true });
    await using after = await Qcow2Image.open(pathOf("b"), { ...options, readOnly: true });
    const [from, to] = Qcow2Image.mapTogether([before, after]);
    if (from === undefined || to === undefined) throw new Error("no maps");
    expect(changedBetween(from, from)).toEqual([]);
    expect(changedBetween(from, to)).toEqual([
      { offset: mib, length: 131072 },
      { offset: 4 * mib, length: 65536 },
      { offset: 6 * mib, length: mib },
      { offset: 50 * mib, length: 65536 },
    ]);
  });

  test("is looked for anew by each opening: a resolver's refusal holds", async () => {
    await make("base", undefined);
    await make("a", "base");
    await make("b", "base");
    await settle();
    await using first = await Qcow2Image.open(pathOf("a"), options);
    expect(first.sizeBytes).toBe(size);
    const refused = Qcow2Image.open(pathOf("b"), { resolveBacking: () => undefined });
    await expect(refused).rejects.toMatchObject({ code: "BACKING_REFUSED" });
  });
});

test("an encrypted layer is shared by those who have its passphrase, and by nobody else", async () => {
  const passphrase = Buffer.from("what opens the layer below");
  const encryption = { passphrase, iterations: 1000 };
  createImageSync({ path: pathOf("base"), virtualSizeBytes: mib, durable: false, encryption });
  {
    await using image = await Qcow2Image.open(pathOf("base"), { passphrase });
    image.writeSync(Buffer.alloc(4096, 7), 0);
  }
  for (const name of ["a", "b", "c", "d"]) await make(name, "base", 65536, mib);
  await settle();
  const before = openFiles();
  const open = (name: string, given: Buffer | undefined): Promise<Qcow2Image> =>
    Qcow2Image.open(pathOf(name), { ...options, ...(given && { passphrase: given }) });
  await using a = await open("a", passphrase);
  const first = openFiles() - before;
  await using b = await open("b", passphrase);
  // Its own file and claim, and not that of the layer again.
  expect(openFiles() - before).toBeLessThan(2 * first);
  await expect(open("c", Buffer.from("something else"))).rejects.toMatchObject({ code: "WRONG_PASSPHRASE" });
  await expect(open("d", undefined)).rejects.toMatchObject({ code: "ENCRYPTED" });
  const read = Buffer.alloc(4096);
  await a.close();
  b.readSync(read, 0);
  expect(read.equals(Buffer.alloc(4096, 7))).toBe(true);
});
