import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createImage, dataFileFolder, inspect, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, temporaryFolder } from "./qemu-tools.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const SIZE = 1 << 20;

describe("external data files", () => {
  test("none is opened that the caller did not allow", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: SIZE, dataFile: { path: "data.raw" } });
    expect((await inspect(path)).dataFile).toEqual({ name: "data.raw", raw: false });
    await expect(Qcow2Image.open(path)).rejects.toMatchObject({ code: "DATA_FILE_REFUSED" });
    await expect(Qcow2Image.open(path)).rejects.toThrow("data.raw");
    await expect(Qcow2Image.open(path, { resolveDataFile: () => undefined })).rejects.toMatchObject({
      code: "DATA_FILE_REFUSED",
    });
    await expect(Qcow2Image.open(path, { resolveDataFile: () => ({ path }) })).rejects.toMatchObject({
      code: "DATA_FILE_REFUSED",
    });
    await expect(
      Qcow2Image.open(path, { resolveDataFile: () => ({ path: folder.file("absent") }) }),
    ).rejects.toMatchObject({ code: "DATA_FILE_MISSING" });
    await using image = await Qcow2Image.open(path, { resolveDataFile: dataFileFolder(folder.path) });
    expect(image.info().dataFile).toEqual({ name: "data.raw", raw: false });
  });

  test.each([
    ["/etc/passwd", "DATA_FILE_REFUSED"],
    ["../outside", "DATA_FILE_REFUSED"],
    ["json:{}", "DATA_FILE_REFUSED"],
    ["link", "DATA_FILE_REFUSED"],
    ["absent", "DATA_FILE_MISSING"],
    ["a.qcow2", "DATA_FILE_REFUSED"],
  ])("a header that names '%s' gives %s", async (name, code) => {
    const path = folder.file("a.qcow2");
    const placeholder = "x".repeat(name.length);
    await createImage({ path, virtualSizeBytes: SIZE, dataFile: { path: placeholder } });
    symlinkSync(folder.file(placeholder), folder.file("link"));
    const bytes = readFileSync(path);
    bytes.write(name, bytes.indexOf(placeholder));
    writeFileSync(path, bytes);
    const resolveDataFile = dataFileFolder(folder.path);
    await expect(Qcow2Image.open(path, { resolveDataFile })).rejects.toMatchObject({ code });
  });

  test("a raw disk that exists becomes the data of an image and stays a raw disk", async () => {
    const data = folder.file("disk.raw");
    const model = Buffer.alloc(SIZE, 3);
    writeFileSync(data, model);
    const path = folder.file("a.qcow2");
    const dataFile = { path: data, raw: true, adopt: true };
    await expect(createImage({ path, virtualSizeBytes: SIZE * 2, dataFile })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(
      createImage({ path, virtualSizeBytes: SIZE, dataFile: { path: data, raw: true } }),
    ).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    expect(existsSync(data)).toBe(true);
    await createImage({ path, virtualSizeBytes: SIZE, dataFile });
    {
      await using image = await Qcow2Image.open(path, { resolveDataFile: dataFileFolder(folder.path) });
      const seen = Buffer.alloc(SIZE);
      await image.read(seen, 0);
      expect(seen.equals(model)).toBe(true);
      await image.write(Buffer.alloc(5000, 8), 1000);
      model.fill(8, 1000, 6000);
      await image.writeZeroes(100_000, 200_000);
      await image.discard(500_000, 200_000);
      model.fill(0, 100_000, 300_000);
      model.fill(0, 524_288, 655_360);
      await image.resize(SIZE + 4096);
      await expect(image.writeCompressed(Buffer.alloc(65_536, 1), 0)).rejects.toMatchObject({
        code: "UNSUPPORTED_FEATURE",
      });
    }
    expect(readFileSync(data).equals(Buffer.concat([model, Buffer.alloc(4096)]))).toBe(true);
    // The promise to keep it readable as a raw disk still stands in the header.
    expect((await inspect(path)).dataFile).toEqual({ name: data, raw: true });
    if (hasQemuImg) qemuCheck(path);
  });

  test("a data file that another image writes is refused", async () => {
    const resolveDataFile = () => ({ path: folder.file("data") });
    await createImage({ path: folder.file("a.qcow2"), virtualSizeBytes: SIZE, dataFile: { path: "data" } });
    await createImage({ path: folder.file("b.qcow2"), virtualSizeBytes: SIZE, dataFile: { path: "other" } });
    await using first = await Qcow2Image.open(folder.file("a.qcow2"), { resolveDataFile });
    await first.write(Buffer.alloc(10, 1), 0);
    await expect(Qcow2Image.open(folder.file("b.qcow2"), { resolveDataFile })).rejects.toMatchObject({
      code: "IN_USE",
    });
  });
});
