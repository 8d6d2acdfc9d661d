import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backingFolder, createImage, inspect, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, temporaryFolder } from "./qemu-tools.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;

describe("headers", () => {
  test("extensions that nobody here knows are kept byte for byte, and unknown autoclear bits go before the first write", async () => {
    const path = folder.file("a.qcow2");
    writeFileSync(folder.file("base"), Buffer.alloc(MIB, 1));
    writeFileSync(folder.file("other"), Buffer.alloc(MIB, 1));
    await createImage({ path, virtualSizeBytes: MIB, backing: { path: "base", format: "raw" } });
    const bytes = readFileSync(path);
    // The table of names gives way to an extension of a program from elsewhere.
    const strange = Buffer.from("a1b2c3d4000000057061796c6f000000", "hex");
    const at = bytes.readUInt32BE(100);
    const format = bytes.subarray(at, at + 16);
    const name = Buffer.concat([Buffer.from(format), strange, Buffer.alloc(8), Buffer.from("base")]);
    bytes.fill(0, at, 4096);
    name.copy(bytes, at);
    bytes.writeBigUInt64BE(BigInt(at + name.length - 4), 8);
    bytes.writeUInt32BE(4, 16);
    bytes.writeBigUInt64BE(0x8000_0000_0000_0800n, 88);
    writeFileSync(path, bytes);
    const options = { resolveBacking: backingFolder(folder.path) };
    {
      await using image = await Qcow2Image.open(path, { ...options, readOnly: true });
      await image.read(Buffer.alloc(10), 0);
    }
    expect(readFileSync(path).readBigUInt64BE(88)).toBe(0x8000_0000_0000_0800n);
    {
      await using image = await Qcow2Image.open(path, options);
      await image.setBackingReference({ path: "other", format: "raw" });
      await image.write(Buffer.alloc(10, 2), 5);
    }
    const after = readFileSync(path);
    expect(after.indexOf(strange)).toBeGreaterThan(0);
    expect(after.readBigUInt64BE(88)).toBe(0n);
    if (hasQemuImg) {
      qemuCheck(path);
      expect(qemuImg("info", path)).toContain("backing file: other");
    }
  });

  test("new images name the features of the format, where their first cluster has room", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB, extendedL2: true, refcountBits: 8, compression: "zstd" });
    expect(readFileSync(path).indexOf("extended L2 entries")).toBeGreaterThan(0);
    expect(await inspect(path)).toMatchObject({
      features: ["compression type", "extended L2 entries"],
      refcountBits: 8,
      compression: "zstd",
      unsupported: [],
    });
    if (hasQemuImg) {
      const info = qemuImg("info", path);
      for (const line of ["compression type: zstd", "extended l2: true", "refcount bits: 8"])
        expect(info).toContain(line);
    }
    await createImage({
      path: folder.file("small"),
      virtualSizeBytes: MIB,
      clusterSizeBytes: 512,
      backing: { path: "base", format: "raw" },
    });
    expect(readFileSync(folder.file("small")).indexOf("extended L2 entries")).toBe(-1);
  });

  test.each([
    [{ refcountBits: 3 }, "3 bits"],
    [{ refcountBits: 128 }, "128 bits"],
    [{ extendedL2: true, clusterSizeBytes: 8192 }, "16 KiB"],
    [{ version: 2, extendedL2: true }, "version 2"],
    [{ version: 2, compression: "zstd" }, "version 2"],
    [{ dataFile: { path: "d", raw: true }, backing: { path: "b", format: "raw" } }, "backing"],
    [{ dataFile: { path: "d", adopt: true } }, "raw"],
  ] as const)("%j is refused", async (format, text) => {
    const creation = createImage({ path: folder.file("a.qcow2"), virtualSizeBytes: MIB, ...format });
    await expect(creation).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(creation).rejects.toThrow(text);
  });
});
