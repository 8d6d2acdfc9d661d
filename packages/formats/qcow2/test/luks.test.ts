import { createCipheriv, randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backingFolder, check, convert, createImage, createImageSync, inspect, Qcow2Image } from "../src/index.ts";
import { mergeKey, splitKey } from "../src/luks-anti-forensic.ts";
import { LuksCipher } from "../src/luks-cipher.ts";
import { hasQemuImg, temporaryFolder } from "./qemu-tools.ts";
import { applyEvent, RecordingFile, recordingLayer } from "./recording-layer.ts";
import { unsyncedLayer } from "./unsynced-layer.ts";

const SECRET: Buffer = Buffer.from("correct horse battery staple");
const NEXT: Buffer = Buffer.from([0, 1, 2, 255, 254, 10, 13, 0, 7]);
const iterations = 1000;
const encryption = { passphrase: SECRET, iterations };

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

async function newImage(name: string, virtualSizeBytes = 1 << 20, more = {}): Promise<string> {
  const path = folder.file(name);
  await createImage({ path, virtualSizeBytes, encryption, durable: false, ...more });
  return path;
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => ({ code: "NONE", message: "" }),
    (thrown: { code: string; message: string }) => thrown,
  );
  expect(error.message).not.toContain(SECRET.toString());
  return error.code;
}

function pattern(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 7 + seed * 31 + (at >> 8)) & 255));
}

/** QEMU's tools, with a passphrase that they read from a file. */
function judge(tool: string, passphrase: Buffer, args: (options: (path: string) => string) => string[]): string {
  const secret = folder.file("secret");
  writeFileSync(secret, passphrase);
  const options = (path: string): string => `driver=qcow2,file.filename=${path},encrypt.key-secret=s0`;
  const given = args(options);
  // qemu-img takes its command first.
  const command = tool === "qemu-img" ? given.splice(0, 1) : [];
  const all = [...command, "--object", `secret,id=s0,file=${secret}`, ...given];
  // QEMU measures what a passphrase costs, and gives up where the machine is too busy for that.
  for (let attempt = 1; ; attempt++) {
    try {
      return execFileSync(tool, all, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      if (attempt === 5 || !String(error).includes("accurate CPU usage")) throw error;
    }
  }
}

function qemuIo(path: string, passphrase: Buffer, ...commands: string[]): string {
  return judge("qemu-io", passphrase, (options) => [
    "--image-opts",
    ...commands.flatMap((command) => ["-c", command]),
    options(path),
  ]);
}

function qemuCheck(path: string, passphrase: Buffer): void {
  judge("qemu-img", passphrase, (options) => ["check", "--image-opts", options(path)]);
}

/** What QEMU reads from a whole disk. */
function qemuRead(path: string, passphrase: Buffer): Buffer {
  const raw = folder.file("read.raw");
  judge("qemu-img", passphrase, (options) => ["convert", "--image-opts", "-O", "raw", options(path), raw]);
  return readFileSync(raw);
}

async function readAll(path: string, passphrase: Buffer): Promise<Buffer> {
  await using image = await Qcow2Image.open(path, {
    readOnly: true,
    passphrase,
    resolveBacking: backingFolder(folder.path),
  });
  const buffer = Buffer.alloc(image.sizeBytes);
  image.readSync(buffer, 0);
  return buffer;
}

test("opens with one of several passphrases, whichever it is, while one is being changed to the other", async () => {
  const path = await newImage("several.qcow2");
  {
    await using image = await Qcow2Image.open(path, { passphrase: [NEXT, SECRET] });
    image.writeSync(pattern(4096, 3), 8192);
    await image.keys.change({ current: SECRET, next: NEXT, iterations });
  }
  await using image = await Qcow2Image.open(path, { passphrase: () => [SECRET, NEXT], readOnly: true });
  const read = Buffer.alloc(4096);
  image.readSync(read, 8192);
  expect(read.equals(pattern(4096, 3))).toBe(true);
  expect(await codeOf(Qcow2Image.open(path, { passphrase: [SECRET, Buffer.from("x")], readOnly: true }))).toBe(
    "WRONG_PASSPHRASE",
  );
  expect(await codeOf(Qcow2Image.open(path, { passphrase: [], readOnly: true }))).toBe("ENCRYPTED");
});

describe("the cipher", () => {
  test.each([32, 64])("is the AES-XTS of OpenSSL, for keys of %d bytes", (keyBytes) => {
    const key = randomBytes(keyBytes);
    const data = randomBytes(200 * 1024);
    const cipher = new LuksCipher(key);
    for (const first of [0, 1, 2 ** 32 - 3, 2 ** 40 + 5]) {
      const expected = Buffer.concat(
        Array.from({ length: data.length / 512 }, (_, sector) => {
          const tweak = Buffer.alloc(16);
          tweak.writeBigUInt64LE(BigInt(first + sector));
          return createCipheriv(`aes-${keyBytes * 4}-xts`, key, tweak).update(
            data.subarray(sector * 512, sector * 512 + 512),
          );
        }),
      );
      const encrypted = Buffer.alloc(data.length);
      cipher.encrypt(data, encrypted, first);
      expect(encrypted.equals(expected)).toBe(true);
      cipher.decrypt(encrypted, encrypted, first);
      expect(encrypted.equals(data)).toBe(true);
    }
  });

  test("a key that was split is whole again, and no part of it can be missing", () => {
    const key = randomBytes(64);
    for (const hash of ["sha1", "sha256", "sha512"] as const) {
      const split = splitKey(key, 100, hash);
      expect(mergeKey(split, 64, hash).equals(key)).toBe(true);
      split.writeUInt8(split.readUInt8(3000) ^ 1, 3000);
      expect(mergeKey(split, 64, hash).equals(key)).toBe(false);
    }
  });
});

describe("an encrypted image", () => {
  test("opens with its passphrase and with no other, and says so by codes", async () => {
    const path = await newImage("a.qcow2");
    expect(await codeOf(Qcow2Image.open(path))).toBe("ENCRYPTED");
    expect(await codeOf(Qcow2Image.open(path, { passphrase: () => undefined }))).toBe("ENCRYPTED");
    expect(await codeOf(Qcow2Image.open(path, { passphrase: NEXT }))).toBe("WRONG_PASSPHRASE");
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      expect(image.info().encrypted).toBe(true);
      expect(image.keys.count()).toBe(1);
      expect(await codeOf(image.writeCompressed(Buffer.alloc(65536), 0))).toBe("UNSUPPORTED_FEATURE");
    }
    expect(await inspect(path)).toMatchObject({ encryption: "luks", unsupported: [] });
    expect(await check(path)).toMatchObject({ corruptions: 0, leaks: 0 });
    expect(await codeOf(createImage({ path, virtualSizeBytes: 512, encryption }))).toBe("ALREADY_EXISTS");
    const other = { path: folder.file("b"), virtualSizeBytes: 1 << 20, encryption };
    expect(await codeOf(createImage({ ...other, version: 2 }))).toBe("INVALID_ARGUMENT");
    expect(await codeOf(createImage({ ...other, dataFile: { path: "x" } }))).toBe("INVALID_ARGUMENT");
    const none = { passphrase: Buffer.alloc(0) };
    expect(await codeOf(createImage({ ...other, encryption: none }))).toBe("INVALID_ARGUMENT");
    expect(await codeOf(createImage({ ...other, encryption: { ...encryption, iterations: 10 } }))).toBe(
      "INVALID_ARGUMENT",
    );
  });

  test("keeps nothing of what is written in the clear", async () => {
    const path = await newImage("a.qcow2");
    const text = Buffer.from("nobody may read this sentence ".repeat(400));
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      image.writeSync(text, 12345);
    }
    const bytes = readFileSync(path);
    expect(bytes.includes("nobody may read")).toBe(false);
    expect(bytes.includes(SECRET)).toBe(false);
    expect((await readAll(path, SECRET)).subarray(12345, 12345 + text.length).equals(text)).toBe(true);
  });

  test.each([
    ["clusters of 512 bytes", { clusterSizeBytes: 512 }],
    ["clusters of 64 KiB", {}],
    ["extended L2 entries", { clusterSizeBytes: 16384, extendedL2: true }],
  ])(
    "reads what was written anywhere, over an encrypted image, with %s",
    { timeout: 300_000 },
    async (_name, format) => {
      const size = 96 * 1024;
      const spot = { at: fc.nat(size - 1), length: fc.integer({ min: 1, max: 30_000 }) };
      const step = fc.record({
        ...spot,
        op: fc.constantFrom("write", "write", "write", "zero", "discard", "snapshot"),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
          const each = temporaryFolder();
          try {
            const base = each.file("base.qcow2");
            const path = each.file("top.qcow2");
            const common = { virtualSizeBytes: size, encryption, durable: false, ...format };
            createImageSync({ ...common, path: base });
            const model = pattern(size, 1);
            {
              await using image = await Qcow2Image.open(base, { passphrase: SECRET, fileLayer: unsyncedLayer });
              image.writeSync(model, 0);
            }
            createImageSync({ ...common, path, backing: { path: "base.qcow2", format: "qcow2" } });
            const options = { passphrase: SECRET, resolveBacking: backingFolder(each.path), fileLayer: unsyncedLayer };
            const image = await Qcow2Image.open(path, options);
            const kept: { readonly id: string; readonly content: Buffer }[] = [];
            try {
              for (const [index, { op, at, length }] of steps.entries()) {
                const count = Math.min(length, size - at);
                if (op === "snapshot") {
                  const { id } = await image.snapshots.create({ name: `s${index}` });
                  kept.push({ id, content: Buffer.from(model) });
                } else if (op === "write") {
                  const data = pattern(count, index + 2);
                  image.writeSync(data, at);
                  data.copy(model, at);
                } else if (op === "zero") {
                  image.writeZeroesSync(at, count);
                  model.fill(0, at, at + count);
                } else {
                  image.discardSync(at, count);
                  // Whole subclusters read as zeroes then, and what is less stays.
                  const unit = image.subclusterSizeBytes;
                  const end = at + count === size ? size : at + count - ((at + count) % unit);
                  const first = Math.ceil(at / unit) * unit;
                  if (first < end) model.fill(0, first, end);
                }
              }
              const read = Buffer.alloc(size);
              image.readSync(read, 0);
              expect(read.equals(model)).toBe(true);
              for (const { at, length } of steps) {
                const part = Buffer.alloc(Math.min(length, size - at));
                image.readSync(part, at);
                expect(part.equals(model.subarray(at, at + part.length))).toBe(true);
              }
              for (const { id, content } of kept) {
                await using snapshot = await image.snapshots.open(id);
                snapshot.readSync(read, 0);
                expect(read.equals(content)).toBe(true);
              }
            } finally {
              await image.close();
            }
            expect(await check(path, { lock: false })).toMatchObject({ corruptions: 0, leaks: 0 });
          } finally {
            each.remove();
          }
        }),
        { seed: 11, numRuns: process.env.VDC_DEEP ? 300 : 15 },
      );
    },
  );

  test("is made from a plain disk and made one, larger and smaller", async () => {
    const plain = folder.file("plain.qcow2");
    createImageSync({ path: plain, virtualSizeBytes: 300_032, durable: false });
    const data = pattern(300_032, 6);
    const path = folder.file("a.qcow2");
    {
      await using image = await Qcow2Image.open(plain);
      image.writeSync(data, 0);
      await convert(image, { format: "qcow2", path, encryption });
      const target = { format: "qcow2", path: folder.file("b.qcow2"), encryption, compressed: true } as const;
      expect(await codeOf(convert(image, target))).toBe("INVALID_ARGUMENT");
    }
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      await image.resize(1 << 20);
    }
    expect((await readAll(path, SECRET)).equals(Buffer.concat([data, Buffer.alloc((1 << 20) - 300_032)]))).toBe(true);
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      await image.resize(1024, { allowShrink: true });
      await image.resize(300_032);
      await convert(image, { format: "raw", path: folder.file("a.raw") });
    }
    const expected = Buffer.concat([data.subarray(0, 1024), Buffer.alloc(300_032 - 1024)]);
    expect(readFileSync(folder.file("a.raw")).equals(expected)).toBe(true);
    expect(await check(path)).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  test("is copied up from encrypted and plain images below it", async () => {
    const data = pattern(200_000, 8);
    const below = [await newImage("encrypted.qcow2"), folder.file("plain.qcow2")];
    createImageSync({ path: folder.file("plain.qcow2"), virtualSizeBytes: 1 << 20, durable: false });
    for (const base of below) {
      {
        await using image = await Qcow2Image.open(base, { passphrase: SECRET });
        image.writeSync(data, 70_001);
      }
      const name = base.slice(folder.path.length + 1);
      const path = await newImage(`over-${name}`, 1 << 20, {
        backing: { path: name, format: "qcow2" },
        encryption: { passphrase: NEXT, iterations },
      });
      const passphrase = (of: string): Buffer => (of === path ? NEXT : SECRET);
      {
        const resolveBacking = backingFolder(folder.path);
        await using image = await Qcow2Image.open(path, { passphrase, resolveBacking });
        image.writeSync(data.subarray(0, 100), 100_000);
        await image.flatten();
      }
      {
        // A repair counts the clusters of the keys as used.
        await using image = await Qcow2Image.open(path, { passphrase, repairLeaks: "always" });
        expect(await image.repair("all")).toMatchObject({ corruptions: 0, leaks: 0 });
        await image.snapshots.create({ name: "kept" });
        image.writeSync(Buffer.alloc(150_000, 1), 50_000);
        await image.snapshots.apply("1");
      }
      const expected = Buffer.alloc(1 << 20);
      data.copy(expected, 70_001);
      data.copy(expected, 100_000, 0, 100);
      expect((await readAll(path, NEXT)).equals(expected)).toBe(true);
      expect(await check(path)).toMatchObject({ corruptions: 0, leaks: 0 });
    }
  });

  test("a hostile encryption header is refused by a code, soon", async () => {
    const path = await newImage("a.qcow2");
    const good = readFileSync(path);
    const at = good.indexOf("LUKS\xba\xbe", 65536, "latin1");
    expect(at).toBeGreaterThan(0);
    const cases: readonly [string, (bytes: Buffer) => void, string][] = [
      ["magic", (bytes) => bytes.fill(0, at, at + 6), "HEADER_INVALID"],
      ["cipher", (bytes) => bytes.write("rot13", at + 8), "UNSUPPORTED_FEATURE"],
      ["version", (bytes) => bytes.writeUInt16BE(2, at + 6), "UNSUPPORTED_FEATURE"],
      ["key length", (bytes) => bytes.writeUInt32BE(0xffff_ffff, at + 108), "UNSUPPORTED_FEATURE"],
      ["digest iterations", (bytes) => bytes.writeUInt32BE(0xffff_ffff, at + 164), "HEADER_INVALID"],
      ["slot iterations", (bytes) => bytes.writeUInt32BE(0xffff_ffff, at + 212), "HEADER_INVALID"],
      ["slot state", (bytes) => bytes.writeUInt32BE(1, at + 208), "HEADER_INVALID"],
      ["stripes", (bytes) => bytes.writeUInt32BE(0xffff_ffff, at + 252), "HEADER_INVALID"],
      ["material outside", (bytes) => bytes.writeUInt32BE(0xffff_ffff, at + 248), "HEADER_INVALID"],
      ["material over the header", (bytes) => bytes.writeUInt32BE(0, at + 248), "HEADER_INVALID"],
      ["material over another", (bytes) => bytes.writeUInt32BE(513, at + 248), "HEADER_INVALID"],
    ];
    for (const [name, damage, code] of cases) {
      const bytes = Buffer.from(good);
      damage(bytes);
      const bad = folder.file(`${name}.qcow2`);
      writeFileSync(bad, bytes);
      expect([name, await codeOf(Qcow2Image.open(bad, { passphrase: SECRET }))]).toEqual([name, code]);
    }
    for (const [offset, length] of [
      [512n, 1000n],
      [65536n, 1n << 62n],
      [1n << 62n, 1000n],
    ] as const) {
      const bytes = Buffer.from(good);
      const pointer = bytes.indexOf(Buffer.from("0537be77", "hex")) + 8;
      bytes.writeBigUInt64BE(offset, pointer);
      bytes.writeBigUInt64BE(length, pointer + 8);
      const bad = folder.file("pointer.qcow2");
      writeFileSync(bad, bytes);
      expect(await codeOf(Qcow2Image.open(bad, { passphrase: SECRET }))).toBe("HEADER_INVALID");
    }
  });
});

describe("the change of a passphrase", () => {
  test("keeps the content, ends the old passphrase, and can be repeated, while the image is written to", async () => {
    const path = await newImage("a.qcow2");
    const data = pattern(150_000, 3);
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      image.writeSync(data, 0);
      const change = image.keys.change({ current: SECRET, next: NEXT, iterations });
      image.writeSync(data, 500_000);
      await change;
      image.writeSync(data, 700_000);
      expect(image.keys.count()).toBe(1);
      await image.keys.change({ current: SECRET, next: NEXT, iterations });
      await image.keys.change({ current: NEXT, next: NEXT, iterations });
      const other = { current: Buffer.from("x"), next: Buffer.from("y"), iterations };
      expect(await codeOf(image.keys.change(other))).toBe("WRONG_PASSPHRASE");
      expect(image.keys.count()).toBe(1);
      for (let turn = 0; turn < 10; turn++) {
        const [current, next] = turn % 2 === 0 ? [NEXT, SECRET] : [SECRET, NEXT];
        await image.keys.change({ current, next, iterations });
      }
    }
    expect(await codeOf(Qcow2Image.open(path, { passphrase: SECRET }))).toBe("WRONG_PASSPHRASE");
    const read = await readAll(path, NEXT);
    for (const at of [0, 500_000, 700_000]) expect(read.subarray(at, at + data.length).equals(data)).toBe(true);
    expect(await check(path)).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  test("leaves one that opens the image whenever it is killed, and a repeat completes it", {
    timeout: 60_000,
  }, async () => {
    const made = await newImage("a.qcow2");
    const path = "/a.qcow2";
    const file = new RecordingFile(readFileSync(made));
    const start = Buffer.from(file.content);
    const data = pattern(70_000, 5);
    const image = await Qcow2Image.open(path, {
      passphrase: SECRET,
      lock: false,
      fileLayer: recordingLayer(new Map([[path, file]])),
    });
    image.writeSync(data, 1000);
    image.flushSync();
    const written = file.events.length;
    await image.keys.change({ current: SECRET, next: NEXT, iterations });
    await image.close();
    const opens = async (content: Buffer, passphrase: Buffer): Promise<boolean> => {
      const copy = new RecordingFile(content);
      const options = { passphrase, lock: false, readOnly: true, fileLayer: recordingLayer(new Map([[path, copy]])) };
      try {
        await using opened = await Qcow2Image.open(path, options);
        const read = Buffer.alloc(data.length);
        opened.readSync(read, 1000);
        expect(read.equals(data)).toBe(true);
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: "WRONG_PASSPHRASE" });
        return false;
      }
    };
    let content: Buffer = start;
    const seen: string[] = [];
    for (const [index, event] of file.events.entries()) {
      const before = content;
      content = applyEvent(Buffer.from(content), event);
      if (index < written) continue;
      // A write may also be torn: of its sectors, only the first or only the last reached the disk.
      const states = [content];
      const isShort = event.kind === "write" && event.data.length <= 48;
      if (event.kind === "write" && (isShort || seen.length === 1)) {
        const cut = Math.min(event.data.length, 512 - (event.position % 512));
        const parts = [
          { position: event.position, data: event.data.subarray(0, cut) },
          { position: event.position + cut, data: event.data.subarray(cut) },
        ];
        for (const part of parts) {
          states.push(applyEvent(Buffer.from(before), { kind: "write", ...part }));
        }
      }
      for (const state of states) {
        const opening = `${await opens(state, SECRET)} ${await opens(state, NEXT)}`;
        expect(opening).not.toBe("false false");
        if (seen.at(-1) !== opening) seen.push(opening);
        const copy = new RecordingFile(state);
        const fileLayer = recordingLayer(new Map([[path, copy]]));
        const passphrase = opening.startsWith("true") ? SECRET : NEXT;
        await using again = await Qcow2Image.open(path, { passphrase, lock: false, fileLayer });
        await again.keys.change({ current: SECRET, next: NEXT, iterations });
        expect(again.keys.count()).toBe(1);
        expect(`${await opens(copy.content, SECRET)} ${await opens(copy.content, NEXT)}`).toBe("false true");
      }
    }
    expect(seen[0]).toBe("true false");
    expect(seen).toContain("true true");
    expect(seen.at(-1)).toBe("false true");
  });

  test("leaves nothing on the disk from which the old passphrase could open it", async () => {
    const path = await newImage("a.qcow2");
    const before = readFileSync(path);
    const luks = before.indexOf("LUKS\xba\xbe", 65536, "latin1");
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      await image.keys.change({ current: SECRET, next: NEXT, iterations });
    }
    const after = readFileSync(path);
    const salt = before.subarray(luks + 216, luks + 248);
    expect(after.includes(salt)).toBe(false);
    const material = before.subarray(luks + 4096, luks + 4096 + 256_000);
    let same = 0;
    for (let at = 0; at < material.length; at += 16) {
      const there = luks + 4096 + at;
      if (after.subarray(there, there + 16).equals(material.subarray(at, at + 16))) same++;
    }
    expect(same).toBe(0);
  });
});

// QEMU spends seconds on measuring what a passphrase costs.
describe.skipIf(!hasQemuImg)("judged by QEMU", { timeout: 120_000 }, () => {
  test("what is created and written here is read, written and checked there", async () => {
    const path = await newImage("a.qcow2", 8 << 20);
    const data = pattern(3_000_000, 9);
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      image.writeSync(data, 100_001);
    }
    qemuCheck(path, SECRET);
    expect(qemuRead(path, SECRET).subarray(100_001, 3_100_001).equals(data)).toBe(true);
    qemuIo(path, SECRET, "write -P 0x5a 512 65536", "write -P 0xa5 5M 1M", "flush");
    const read = await readAll(path, SECRET);
    expect(read.equals(qemuRead(path, SECRET))).toBe(true);
    expect(read.subarray(512, 512 + 65536).every((byte) => byte === 0x5a)).toBe(true);
    expect(read.subarray(5 << 20, 6 << 20).every((byte) => byte === 0xa5)).toBe(true);
    expect(() => qemuRead(path, Buffer.from("another"))).toThrow("Invalid password");
    qemuCheck(path, SECRET);
    expect(await check(path)).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  test("what is created and written there is read and written here, also over an encrypted backing and with snapshots", async () => {
    const base = folder.file("base.qcow2");
    const path = folder.file("top.qcow2");
    const make = (name: string, ...more: string[]): void => {
      const luks = "encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=100";
      judge("qemu-img", SECRET, () => ["create", "-q", "-f", "qcow2", "-o", luks, ...more, name, "4M"]);
    };
    make(base);
    qemuIo(base, SECRET, "write -P 0x11 0 2M");
    make(path, "-u", "-b", "base.qcow2", "-F", "qcow2");
    const data = pattern(200_000, 4);
    {
      await using image = await Qcow2Image.open(path, {
        passphrase: SECRET,
        resolveBacking: backingFolder(folder.path),
      });
      image.writeSync(data, 65_000);
      await image.snapshots.create({ name: "before" });
      image.writeSync(data, 1_900_000);
    }
    const expected = Buffer.alloc(4 << 20);
    expected.fill(0x11, 0, 2 << 20);
    data.copy(expected, 65_000);
    data.copy(expected, 1_900_000);
    expect((await readAll(path, SECRET)).equals(expected)).toBe(true);
    const chain = (options: string): string =>
      `${options},backing.driver=qcow2,backing.file.filename=${base},backing.encrypt.key-secret=s0`;
    const raw = folder.file("chain.raw");
    judge("qemu-img", SECRET, (options) => ["check", "--image-opts", chain(options(path))]);
    judge("qemu-img", SECRET, (options) => ["convert", "--image-opts", "-O", "raw", chain(options(path)), raw]);
    expect(readFileSync(raw).equals(expected)).toBe(true);
  });

  test("a passphrase that was changed here is the one that opens it there, and the other way round", async () => {
    const path = await newImage("a.qcow2");
    const data = pattern(100_000, 2);
    const ours = Buffer.from("a second passphrase");
    {
      await using image = await Qcow2Image.open(path, { passphrase: SECRET });
      image.writeSync(data, 0);
      await image.keys.change({ current: SECRET, next: ours, iterations });
    }
    expect(() => qemuRead(path, SECRET)).toThrow("Invalid password");
    expect(qemuRead(path, ours).subarray(0, data.length).equals(data)).toBe(true);
    const theirs = Buffer.from("a third one");
    writeFileSync(folder.file("new"), theirs);
    const amend = (...keys: string[]): string =>
      judge("qemu-img", ours, (options) => [
        "amend",
        "--object",
        `secret,id=s1,file=${folder.file("new")}`,
        "-o",
        keys.join(","),
        "--image-opts",
        options(path),
      ]);
    amend("encrypt.state=active", "encrypt.new-secret=s1", "encrypt.iter-time=100");
    expect((await readAll(path, theirs)).subarray(0, data.length).equals(data)).toBe(true);
    {
      await using image = await Qcow2Image.open(path, { passphrase: ours });
      expect(image.keys.count()).toBe(2);
    }
    amend("encrypt.state=inactive", "encrypt.old-secret=s0");
    expect(await codeOf(Qcow2Image.open(path, { passphrase: ours }))).toBe("WRONG_PASSPHRASE");
    expect((await readAll(path, theirs)).subarray(0, data.length).equals(data)).toBe(true);
    qemuCheck(path, theirs);
  });
});
