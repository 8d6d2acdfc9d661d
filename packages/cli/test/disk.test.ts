import { randomBytes } from "node:crypto";
import { watch } from "node:fs";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createImage } from "@vdc-os/qcow2";
import { packageVersion } from "../src/commands/program.ts";
import { VdcFolder } from "./vdc-folder.ts";

// Up to fifteen processes for each test: where others work too, they take their time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let folder: VdcFolder;
const content = Buffer.concat([randomBytes(3 * 2 ** 20), Buffer.alloc(5 * 2 ** 20)]);

beforeAll(async () => {
  folder = await VdcFolder.make();
  await writeFile(join(folder.path, "disk.raw"), content);
});

afterAll(async () => folder?.[Symbol.asyncDispose]());

test("images are converted there and back, and compared", async () => {
  expect(await folder.text("disk convert disk.raw disk.qcow2 --format raw --to qcow2")).toMatch(
    /qcow2, 8 MiB, takes 3\.\d MiB/,
  );
  await folder.text("disk convert disk.qcow2 disk.vmdk --to vmdk");
  await folder.text("disk convert disk.vmdk back.raw --to raw");
  expect((await readFile(join(folder.path, "back.raw"))).equals(content)).toBe(true);
  expect(await folder.json("disk compare disk.qcow2 disk.vmdk")).toEqual({
    comparison: { same: true, sizes: [content.length, content.length], differentBytes: 0 },
  });
  await writeFile(
    join(folder.path, "other.raw"),
    Buffer.concat([content.subarray(0, 4096), Buffer.from("x"), content.subarray(4097)]),
  );
  const differ = await folder.run("disk compare disk.qcow2 other.raw --second-format raw");
  expect(differ.code).toBe(1);
  expect(differ.stderr).toContain("differ at byte 4096");
  const taken = await folder.run("disk convert disk.raw disk.qcow2 --format raw --to qcow2");
  expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining("ALREADY_EXISTS") });
});

test("images are looked at, checked, measured and drawn", async () => {
  const { disk } = await folder.json<{ readonly disk: object }>("disk info disk.qcow2");
  expect(disk).toMatchObject({ format: "qcow2", formatIsGuessed: true, virtualSizeBytes: content.length, version: 3 });
  expect(await folder.text("disk info disk.vmdk")).toMatch(/^create type +streamOptimized$/m);
  expect(await folder.text("disk check disk.qcow2")).toMatch(/^No errors\. 48 of 128 clusters/);
  expect(await folder.text("disk check disk.vmdk")).toBe("All of it can be read.\n");
  expect(await folder.text("disk measure --size 1T")).toMatch(/^when all is written +1 TiB$/m);
  expect(await folder.json("disk measure disk.raw --format raw")).toMatchObject({
    measured: { requiredBytes: expect.any(Number) },
  });
  expect(await folder.text("disk map disk.qcow2 --svg map.svg")).toContain("3 MiB of 8 MiB hold data (38%)");
  expect(await readFile(join(folder.path, "map.svg"), "utf8")).toContain("Allocation map of disk.qcow2");
});

test("a damaged image is told from a whole one, and repaired", async () => {
  const path = join(folder.path, "damaged.qcow2");
  await createImage({ path, virtualSizeBytes: 2 ** 30 });
  const bytes = await readFile(path);
  // The refcount of the first cluster, in the first refcount block.
  const table = Number(bytes.readBigUInt64BE(48));
  const block = Number(bytes.readBigUInt64BE(table));
  bytes.writeUInt16BE(0, block);
  await writeFile(path, bytes);
  expect(await folder.run("disk check damaged.qcow2")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("VDC_DISK_DAMAGED"),
  });
  expect(await folder.text("disk repair damaged.qcow2")).toMatch(/^[1-9]\d* repaired/);
  expect(await folder.text("disk check damaged.qcow2")).toMatch(/^No errors/);
});

test("a raw disk is never taken for what its guest wrote into it", async () => {
  await writeFile(join(folder.path, "guest.img"), await readFile(join(folder.path, "disk.qcow2")));
  const unsure = await folder.run("disk convert guest.img out.raw --to raw");
  expect(unsure.code).toBe(2);
  expect(unsure.stderr).toContain("It begins like qcow2, but so may a raw disk");
  expect((await folder.run("disk compare disk.raw disk.raw")).code).toBe(2);
});

test("files that an image names are opened only where the user says so", async () => {
  const backing = { path: "disk.qcow2", format: "qcow2" } as const;
  await createImage({ path: join(folder.path, "top.qcow2"), virtualSizeBytes: content.length, backing });
  const refused = await folder.run("disk compare top.qcow2 disk.qcow2");
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("--files-in") });
  expect(await folder.text("disk compare top.qcow2 disk.qcow2 --files-in .")).toBe("Both read the same.\n");
});

test("Ctrl-C ends a long conversion, and leaves no file", async () => {
  await writeFile(join(folder.path, "large.raw"), randomBytes(256 * 2 ** 20));
  const begun = new AbortController();
  const watcher = watch(folder.path, (_event, file) => {
    if (file?.includes("large.qcow2") === true) begun.abort();
  });
  const { child, ended } = folder.start("disk convert large.raw large.qcow2 --format raw --to qcow2 --compress zlib");
  await Promise.race([once(begun.signal, "abort"), ended]);
  watcher.close();
  child.kill("SIGINT");
  const { code, stderr } = await ended;
  expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining("error: ") });
  expect((await readdir(folder.path)).filter((name) => name.includes("large"))).toEqual(["large.raw"]);
});

test("command lines that make no sense end with 2, help with 0", async () => {
  for (const line of [
    "disk",
    "nonsense",
    "disk info",
    "disk convert a b",
    "storage volume create x --size 10GB",
    "--nonsense",
  ]) {
    const { code, stderr } = await folder.run(line);
    expect({ line, code }).toEqual({ line, code: 2 });
    expect(stderr).not.toContain("node:internal");
  }
  const usage = await folder.run("disk info --json");
  expect(JSON.parse(usage.stderr)).toMatchObject({ error: { code: "INVALID_ARGUMENT", reason: "VDC_USAGE" } });
  expect(await folder.text("storage clone --help")).toContain("Examples:");
  expect(await folder.text("--version")).toBe(`${packageVersion}\n`);
  expect(await folder.text("completion bash")).toContain('"vdc storage volume") words="create show');
});
