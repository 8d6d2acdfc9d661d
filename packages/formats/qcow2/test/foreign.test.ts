import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backingFolder, createImage, lockPathOf, measure, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, qemuImg, qemuIo, temporaryFolder } from "./qemu-tools.ts";
import { RecordingFile, recordingLayer } from "./recording-layer.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;

async function contentOf(image: Qcow2Image): Promise<Buffer> {
  const content = Buffer.alloc(image.sizeBytes);
  await image.read(content, 0);
  return content;
}

describe.skipIf(!hasQemuImg)("images that QEMU made", () => {
  test("a compressed image is read, and written over", async () => {
    const model = Buffer.alloc(2 * MIB);
    for (let at = 0; at < model.length; at += 4096) model.writeUInt32BE(at, at);
    writeFileSync(folder.file("raw"), model);
    qemuImg("convert", "-f", "raw", "-O", "qcow2", "-c", folder.file("raw"), folder.file("a.qcow2"));
    await using image = await Qcow2Image.open(folder.file("a.qcow2"));
    expect((await contentOf(image)).equals(model)).toBe(true);
    model.fill(9, 100_000, 400_000);
    await image.write(model.subarray(100_000, 400_000), 100_000);
    await image.flush();
    expect((await contentOf(image)).equals(model)).toBe(true);
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    await image.close();
    qemuCheck(folder.file("a.qcow2"));
    writeFileSync(folder.file("raw"), model);
    qemuImg("compare", "-F", "raw", "-f", "qcow2", folder.file("a.qcow2"), folder.file("raw"));
  });

  test("internal snapshots keep their content while the disk is written", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", path, "4M");
    qemuIo(path, "write -P 1 0 2M");
    qemuImg("snapshot", "-c", "before", path);
    {
      await using image = await Qcow2Image.open(path);
      await image.write(Buffer.alloc(MIB, 2), 500_000);
      await image.discard(0, 131_072);
      expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    }
    qemuCheck(path);
    qemuIo(path, "read -P 2 500000 1M");
    qemuImg("snapshot", "-a", "before", path);
    expect(qemuIo(path, "read -P 1 0 2M")).not.toContain("verification failed");
    qemuCheck(path);
  });

  test("version 2 images, also over a backing, are read and written", async () => {
    writeFileSync(folder.file("base"), Buffer.alloc(MIB, 5));
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", "-o", "compat=0.10", "-b", folder.file("base"), "-F", "raw", path, "2M");
    {
      await using image = await Qcow2Image.open(path, { resolveBacking: backingFolder(folder.path) });
      await image.write(Buffer.alloc(100, 6), 70_000);
      await image.writeZeroes(0, 65_536);
    }
    qemuCheck(path);
    qemuIo(path, "read -P 0 0 64k", "read -P 5 64k 4k", "read -P 6 70000 100", "read -P 0 1M 1M");
  });

  test("an image that QEMU holds is refused", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB });
    const holder = spawn("qemu-io", ["-f", "qcow2", path], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      holder.stdin.write("read 0 512\n");
      await once(holder.stdout, "data");
      await expect(Qcow2Image.open(path)).rejects.toMatchObject({ code: "IN_USE" });
    } finally {
      holder.stdin.end("quit\n");
      await once(holder, "exit");
    }
    await (await Qcow2Image.open(path)).close();
  });

  test("a dirty image is rebuilt on opening", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "4M");
    const io = spawn("qemu-io", ["-f", "qcow2", path], { stdio: ["pipe", "pipe", "inherit"] });
    io.stdin.write("write -P 3 0 1M\nflush\n");
    let output = "";
    for await (const part of io.stdout) {
      output += String(part);
      if (output.includes("ops")) break;
    }
    const exited = once(io, "exit");
    io.kill("SIGKILL");
    await exited;
    {
      await using image = await Qcow2Image.open(path);
      expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
    }
    qemuCheck(path);
  });
});

describe("one image, one writer", () => {
  test("a second writer is refused, and a claim left by a crash is taken over and its leaks repaired", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB });
    const first = await Qcow2Image.open(path);
    await expect(Qcow2Image.open(path)).rejects.toMatchObject({ code: "IN_USE" });
    await first.close();
    // A leaked cluster: counted, at the end of the file, referenced by nothing.
    const bytes = readFileSync(path);
    bytes.writeUInt16BE(1, 2 * 65536 + 2 * 4);
    writeFileSync(path, Buffer.concat([bytes, Buffer.alloc(65536)]));
    writeFileSync(lockPathOf(path), "999999999\nother-boot\n1\nabc\n");
    await using image = await Qcow2Image.open(path);
    expect(await image.check()).toMatchObject({ leaks: 0, corruptions: 0 });
  });

  test("a full disk fails the write and loses nothing; a failed sync ends all writing", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB, clusterSizeBytes: 512 });
    const file = new RecordingFile(readFileSync(path));
    const fileLayer = recordingLayer(new Map([[path, file]]));
    const image = await Qcow2Image.open(path, { fileLayer, lock: false });
    await image.write(Buffer.alloc(4096, 1), 0);
    await image.flush();
    file.maximumBytes = file.content.length;
    await expect(image.write(Buffer.alloc(MIB / 2, 2), 8192)).rejects.toMatchObject({ code: "NO_SPACE" });
    await image.flush();
    expect(await image.check()).toMatchObject({ corruptions: 0, leaks: 0 });
    file.maximumBytes = Number.MAX_SAFE_INTEGER;
    await image.write(Buffer.alloc(512, 3), 8192);
    file.failSync = true;
    await expect(image.flush()).rejects.toMatchObject({ code: "IO_ERROR" });
    file.failSync = false;
    await expect(image.write(Buffer.alloc(512, 3), 8192)).rejects.toMatchObject({ code: "FAILED" });
  });
});

describe("chains", () => {
  test("flatten copies up and drops the reference; the reference can also be changed", async () => {
    const resolveBacking = backingFolder(folder.path);
    for (const name of ["base", "other"]) {
      await createImage({ path: folder.file(name), virtualSizeBytes: MIB });
      await using base = await Qcow2Image.open(folder.file(name));
      await base.write(Buffer.alloc(300_000, 4), 1234);
    }
    const path = folder.file("top.qcow2");
    await createImage({ path, virtualSizeBytes: 2 * MIB, backing: { path: "base", format: "qcow2" } });
    await using image = await Qcow2Image.open(path, { resolveBacking });
    await image.write(Buffer.alloc(10, 8), 2000);
    const before = await contentOf(image);
    await image.setBackingReference({ path: "other", format: "qcow2" });
    expect(image.backing).toEqual({ path: "other", format: "qcow2" });
    expect((await contentOf(image)).equals(before)).toBe(true);
    expect(image.map(0, 2 * MIB).map((extent) => [extent.kind, extent.depth])).toContainEqual(["data", 1]);
    await expect(image.flatten({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
    const seen: number[] = [];
    await image.flatten({ onProgress: (progress) => seen.push(progress.doneBytes) });
    expect(seen.at(-1)).toBe(2 * MIB);
    expect((await contentOf(image)).equals(before)).toBe(true);
    expect(image.allocatedBytes()).toBe(327_680);
    await image.close();
    if (hasQemuImg) {
      qemuCheck(path);
      expect(qemuImg("info", path)).not.toContain("backing file:");
      const size = measure({ virtualSizeBytes: 2 * MIB }).fullyAllocatedBytes;
      expect(qemuImg("measure", "-O", "qcow2", "--size", "2M")).toContain(`fully allocated size: ${size}`);
    }
  });
});
