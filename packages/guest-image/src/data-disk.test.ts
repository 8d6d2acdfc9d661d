import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { missingPrograms } from "@vdc-os/testing";
import { writeDataDisk } from "./data-disk.ts";

const missing = missingPrograms(["busybox"], "the data disk is not read by an independent program");
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "vdc-data-disk-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test.skipIf(missing)("the label names the archive's length, and busybox unpacks the archive", async () => {
  const path = join(directory, "data.raw");
  const page = Buffer.from(`${"page ".repeat(3000)}\n`);
  const files = [
    { path: "www/index.html", content: page },
    { path: "www/empty", content: Buffer.alloc(0) },
  ];
  await writeDataDisk(path, { length: 64 * 1024 * 1024, name: "golden", files });

  const bytes = await readFile(path);
  const blocks = Number(/^vdc-data-disk golden tar=(\d+)\n/.exec(bytes.toString("latin1", 0, 4096))?.[1]);
  const archive = bytes.subarray(4096, 4096 * (1 + blocks));
  const listing = execFileSync("busybox", ["tar", "-t"], { input: archive, encoding: "utf8" });
  expect(listing.trim().split("\n")).toEqual(["www/index.html", "www/empty"]);
  expect(execFileSync("busybox", ["tar", "-x", "-O", "www/index.html"], { input: archive })).toEqual(page);
});

test("the disk has the length that was asked for, and is sparse", async () => {
  const path = join(directory, "data.raw");
  await writeDataDisk(path, { length: 64 * 1024 * 1024, name: "golden", files: [] });
  const { size, blocks } = await stat(path);
  expect(size).toBe(64 * 1024 * 1024);
  expect(blocks * 512).toBeLessThan(1024 * 1024);
});

test("files that do not fit are refused", async () => {
  const files = [{ path: "big", content: Buffer.alloc(8192) }];
  await expect(writeDataDisk(join(directory, "d"), { length: 8192, name: "small", files })).rejects.toThrow(/room/);
});
