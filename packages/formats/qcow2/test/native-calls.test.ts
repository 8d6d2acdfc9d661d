import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createImage, Qcow2Image } from "../src/index.ts";
import { nativeFileCalls } from "../src/native-file-calls.ts";
import { hasQemuImg, qemuCheck, qemuIo, temporaryFolder } from "./qemu-tools.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;

const hasNativeCalls = nativeFileCalls() !== undefined;
if (!hasNativeCalls) {
  console.warn("native calls (library koffi, 64-bit Linux) can't be had: their tests are SKIPPED");
}

function qemuIoFails(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("qemu-io", args, { encoding: "utf8" });
  expect(status).not.toBe(0);
  return stdout + stderr;
}

test.skipIf(process.platform !== "linux" || process.arch !== "x64")("native calls can be had here", () => {
  expect(hasNativeCalls).toBe(true);
});

describe.skipIf(!hasNativeCalls)("with native calls", () => {
  test.skipIf(!hasQemuImg)("QEMU may neither read nor write an image that is open for writing", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB });
    {
      await using image = await Qcow2Image.open(path);
      expect(image.sizeBytes).toBe(MIB);
      expect(qemuIoFails("-f", "qcow2", "-c", "write 0 4k", path)).toMatch(/lock/);
      expect(qemuIoFails("-r", "-f", "qcow2", "-c", "read 0 4k", path)).toMatch(/lock/);
    }
    qemuIo(path, "write -P 3 0 4k");
  });

  test.skipIf(!hasQemuImg)("QEMU may read, and not write, an image that is open for reading", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: MIB });
    await using image = await Qcow2Image.open(path, { readOnly: true });
    expect(image.sizeBytes).toBe(MIB);
    expect(qemuIoFails("-f", "qcow2", "-c", "write 0 4k", path)).toMatch(/lock/);
    const { status } = spawnSync("qemu-io", ["-r", "-f", "qcow2", "-c", "read 0 4k", path]);
    expect(status).toBe(0);
  });

  test("what is discarded goes back to the file system at the next flush", async () => {
    const path = folder.file("a.qcow2");
    await createImage({ path, virtualSizeBytes: 16 * MIB });
    const diskBytes = (): number => statSync(path).blocks * 512;
    {
      await using image = await Qcow2Image.open(path);
      await image.write(Buffer.alloc(8 * MIB, 7), 0);
      await image.flush();
      const full = diskBytes();
      expect(full).toBeGreaterThanOrEqual(8 * MIB);
      await image.discard(MIB, 4 * MIB);
      await image.flush();
      expect(diskBytes()).toBeLessThanOrEqual(full - 4 * MIB);
      const kept = Buffer.alloc(MIB);
      await image.read(kept, 0);
      expect(kept.every((byte) => byte === 7)).toBe(true);
    }
    if (hasQemuImg) qemuCheck(path);
  });
});
