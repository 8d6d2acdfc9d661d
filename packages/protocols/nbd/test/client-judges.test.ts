import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listExports, type NbdClient } from "../src/index.ts";
import { startPeer } from "./peer-process.ts";
import { runTool, toolsPresent } from "./tool.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nbd-client-judges-"));
  path = join(folder, "s");
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function exercise(client: NbdClient): Promise<void> {
  const data = Buffer.alloc(40 * MIB, "pattern ");
  await client.write(data, MIB + 512);
  if (client.canWriteZeroes) await client.writeZeroes(2 * MIB, MIB);
  else await client.write(Buffer.alloc(MIB), 2 * MIB);
  await client.write(Buffer.alloc(4096, 3), 60 * MIB, { fua: true });
  await client.flush();
  data.fill(0, MIB - 512, 2 * MIB - 512);
  const back = Buffer.alloc(data.length);
  await client.read(back, MIB + 512);
  expect(back.equals(data)).toBe(true);
  if (client.canCache) await client.cache(0, 4 * MIB);
  if (client.canBlockStatus) {
    const extents = await client.extents(0, client.sizeBytes);
    expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(64 * MIB);
    expect(extents[0]?.kind).toBe("hole");
  }
  if (client.canTrim) await client.trim(0, 64 * MIB);
  await client.close();
}

describe.skipIf(!toolsPresent("nbdkit"))("our client, judged by nbdkit", () => {
  const nbdkit = (...args: readonly string[]) => startPeer(path, "nbdkit", "-f", "-U", path, ...args);

  test("does all that it offers", async () => {
    await using peer = await nbdkit("memory", "64M");
    const client = await peer.connect({});
    expect(client).toMatchObject({
      sizeBytes: 64 * MIB,
      canMultiConnect: true,
      canTrim: true,
      canCache: true,
      canFastZero: true,
      canBlockStatus: true,
    });
    await client.writeZeroes(0, MIB, { fast: true });
    await exercise(client);
  });

  test.each([
    ["without structured replies", ["--no-sr", "memory", "64M"]],
    [
      "without zeroes and cache",
      ["--filter=nozero", "--filter=nocache", "memory", "64M", "zeromode=none", "cachemode=none"],
    ],
    ["answering out of order and late", ["--filter=delay", "memory", "64M", "rdelay=2ms", "wdelay=1ms"]],
  ])("works with a server %s", async (_what, args) => {
    await using peer = await nbdkit(...args);
    await exercise(await peer.connect({}));
  });

  test("keeps to the sizes of blocks that the server demands", async () => {
    const policy = ["blocksize-minimum=4096", "blocksize-maximum=1M", "blocksize-error-policy=error"];
    await using peer = await nbdkit("--filter=blocksize-policy", "memory", "64M", ...policy);
    const client = await peer.connect({});
    expect(client.blockSizes).toMatchObject({ minimum: 4096, maximum: MIB });
    const data = Buffer.alloc(5 * MIB + 4096, "blocks ");
    await client.write(data, 4096);
    const back = Buffer.alloc(data.length);
    await client.read(back, 4096);
    expect(back.equals(data)).toBe(true);
    await expect(client.read(Buffer.alloc(512), 0)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
    await client.close();
  });

  test("hears an injected error by its name", async () => {
    await using peer = await nbdkit("--filter=error", "memory", "64M", "error-pwrite=ENOSPC", "error-pwrite-rate=100%");
    const client = await peer.connect({});
    await expect(client.write(Buffer.alloc(512), 0)).rejects.toMatchObject({
      code: "NBD_REQUEST_FAILED",
      errno: "ENOSPC",
    });
    await client.read(Buffer.alloc(512), 0);
    await client.close();
  });

  test("fails what is in flight with a code when the server dies", async () => {
    await using peer = await nbdkit("--filter=delay", "memory", "64M", "rdelay=60");
    const client = await peer.connect({});
    const reading = expect(client.read(Buffer.alloc(512), 0)).rejects.toMatchObject({ code: "NBD_CLOSED" });
    peer.kill("SIGKILL");
    await reading;
    expect(await client.closed).toMatchObject({ code: "NBD_CLOSED" });
  });
});

describe.skipIf(!toolsPresent("qemu-nbd", "qemu-img", "qemu-io"))("our client, judged by qemu-nbd", () => {
  test("does all that it offers, and the image stays sound", async () => {
    const image = join(folder, "d.qcow2");
    await runTool("qemu-img", "create", "-q", "-f", "qcow2", image, "64M");
    const args = ["-t", "-e", "4", "-f", "qcow2", "--discard=unmap", "-x", "q", "-D", "a disk", "-k", path, image];
    const peer = await startPeer(path, "qemu-nbd", ...args);
    try {
      await expect(peer.connect({ exportName: "wrong" })).rejects.toMatchObject({ code: "NBD_EXPORT_UNKNOWN" });
      expect(await listExports(path)).toEqual([{ name: "q", description: "a disk" }]);
      const client = await peer.connect({ exportName: "q" });
      expect(client).toMatchObject({ sizeBytes: 64 * MIB, canBlockStatus: true });
      await exercise(client);
      peer.kill("SIGTERM");
      await peer.exited;
      await runTool("qemu-img", "check", "-q", image);
    } finally {
      await peer[Symbol.asyncDispose]();
    }
  });

  test("reads its dirty bitmaps", async () => {
    const image = join(folder, "d.qcow2");
    await runTool("qemu-img", "create", "-q", "-f", "qcow2", image, "64M");
    await runTool("qemu-img", "bitmap", "--add", "-g", "64k", image, "nightly");
    await runTool("qemu-io", "-f", "qcow2", "-c", "write 1M 128k", "-c", "write 60M 4k", image);
    await using peer = await startPeer(path, "qemu-nbd", "-t", "-r", "-f", "qcow2", "-B", "nightly", "-k", path, image);
    const client = await peer.connect({ bitmaps: ["nightly", "other"] });
    expect(client.bitmaps).toEqual(["nightly"]);
    expect(await client.dirtyExtents("nightly", 0, 64 * MIB)).toEqual([
      { length: MIB, dirty: false },
      { length: 128 * KIB, dirty: true },
      { length: 59 * MIB - 128 * KIB, dirty: false },
      { length: 64 * KIB, dirty: true },
      { length: 4 * MIB - 64 * KIB, dirty: false },
    ]);
    await client.close();
  });
});
