import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BlockBackend, NbdClient, NbdServer } from "@vdc-os/nbd";
import { createImage, Qcow2Image } from "@vdc-os/qcow2";
import { afterEach, beforeEach, expect, it } from "vitest";
import { mib } from "./test-pool.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-resize-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function backendOf(image: Qcow2Image): BlockBackend {
  return {
    get sizeBytes() {
      return image.sizeBytes;
    },
    sharedFlush: true,
    read: (target, offset) => image.readWithoutWaiting(target, offset),
    write: (source, offset) => image.writeSync(source, offset),
    flush: () => image.flush(),
    resize: (sizeBytes) => image.resize(sizeBytes),
  };
}

it("a qcow2 image grows on the word of an NBD client, while others use it, and keeps what it held", async () => {
  const path = join(folder, "disk.qcow2");
  await createImage({ path, virtualSizeBytes: 16 * mib });
  const socket = join(folder, "s");
  const image = await Qcow2Image.open(path);
  const server = new NbdServer();
  server.addExport({ name: "d", backend: backendOf(image), allowResize: true });
  await server.listenUnix(socket);
  const [client, other] = [
    await NbdClient.connect(socket, { exportName: "d" }),
    await NbdClient.connect(socket, { exportName: "d" }),
  ];
  await client.write(Buffer.alloc(mib, 1), 15 * mib);
  const writing = Array.from({ length: 32 }, (_, block) => other.write(Buffer.alloc(65_536, 2), block * 65_536));
  await Promise.all([...writing, client.resize(64 * mib)]);
  await client.write(Buffer.alloc(mib, 3), 63 * mib);
  await client.flush();
  await expect(client.resize(8 * mib)).rejects.toMatchObject({ errno: "EINVAL" });
  expect([client.sizeBytes, other.sizeBytes]).toEqual([64 * mib, 16 * mib]);
  await Promise.all([client.close(), other.close()]);
  await server.close();
  await image.close();

  await using reopened = await Qcow2Image.open(path, { readOnly: true });
  expect(reopened.sizeBytes).toBe(64 * mib);
  expect(await reopened.check()).toMatchObject({ corruptions: 0, leaks: 0 });
  for (const [offset, length, value] of [
    [0, 2 * mib, 2],
    [2 * mib, 13 * mib, 0],
    [15 * mib, mib, 1],
    [16 * mib, 47 * mib, 0],
    [63 * mib, mib, 3],
  ] as const) {
    const part = Buffer.alloc(length, 0xaa);
    await reopened.read(part, offset);
    expect(part.equals(Buffer.alloc(length, value)), `at ${offset}`).toBe(true);
  }
});
