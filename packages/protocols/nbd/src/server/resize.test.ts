import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { createMemoryDisk } from "../../test/memory-disk.ts";
import { NbdPlace } from "../../test/nbd-place.ts";
import type { RawClient } from "../../test/raw-client.ts";
import { type BlockBackend, type NbdClient, type NbdExportOptions, type NbdServer, openRawFile } from "../index.ts";
import * as wire from "../wire/wire-constants.ts";

const MIB = 1024 * 1024;

const place = new NbdPlace();
let server: NbdServer;

beforeEach(async () => {
  server = await place.listen();
});

const open = (): Promise<NbdClient> => place.open({ exportName: "d" });

async function raw(): Promise<RawClient> {
  const client = await place.raw();
  await client.go("d");
  return client;
}

/** A disk of 1 MiB that grows up to 4 MiB. */
function growingDisk(): BlockBackend & { readonly sizes: number[] } {
  const disk = createMemoryDisk(4 * MIB);
  const sizes = [MIB];
  return {
    ...disk,
    sizes,
    get sizeBytes() {
      return sizes.at(-1) as number;
    },
    resize: async (sizeBytes) => {
      if (sizeBytes > 4 * MIB) throw Object.assign(new Error("too large"), { code: "ENOSPC" });
      await Promise.resolve();
      sizes.push(sizeBytes);
    },
  };
}

function serve(options: Partial<NbdExportOptions> = {}): BlockBackend & { readonly sizes: number[] } {
  const backend = growingDisk();
  server.addExport({ name: "d", backend, allowResize: true, ...options });
  return backend;
}

describe("an export whose size clients may change", () => {
  test("grows, and may be used to its new end at once", async () => {
    const { sizes } = serve();
    const [client, other] = [await open(), await open()];
    expect(client.canResize).toBe(true);
    await expect(client.write(Buffer.alloc(512), 2 * MIB)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
    await client.resize(3 * MIB);
    expect([client.sizeBytes, other.sizeBytes, (await open()).sizeBytes]).toEqual([3 * MIB, MIB, 3 * MIB]);
    await client.write(Buffer.alloc(512, 7), 3 * MIB - 512);
    const target = Buffer.alloc(512);
    await client.read(target, 3 * MIB - 512);
    expect(target.equals(Buffer.alloc(512, 7))).toBe(true);
    expect(sizes).toEqual([MIB, 3 * MIB]);
  });

  test("keeps its size where the backend refuses, and where the caller asks for what is no size", async () => {
    serve();
    const client = await open();
    await expect(client.resize(5 * MIB)).rejects.toMatchObject({ errno: "ENOSPC" });
    for (const size of [-1, 0.5, Number.NaN, 2 ** 53]) {
      await expect(client.resize(size)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
    }
    expect(client.sizeBytes).toBe(MIB);
  });

  test("refuses what lies beyond its end once it is smaller, also what waited before its interceptor meanwhile", async () => {
    const gates: (() => void)[] = [];
    const before: NonNullable<NbdExportOptions["interceptor"]>["before"] = ({ command }) =>
      command === "write" ? new Promise<void>((resolve) => gates.push(resolve)) : undefined;
    const ended: unknown[] = [];
    const after = (request: { readonly command: string }, _connection: unknown, error: unknown): void =>
      void ended.push([request.command, error]);
    serve({ interceptor: { before, after } });
    const client = await open();
    const waiting = client.write(Buffer.alloc(512), MIB - 512);
    await expect.poll(() => gates.length).toBe(1);
    await client.resize(MIB / 2);
    gates[0]?.();
    await expect(waiting).rejects.toMatchObject({ errno: "ENOSPC" });
    expect(ended).toEqual([
      ["resize", undefined],
      ["write", { code: "ENOSPC" }],
    ]);
  });

  test("flushes with FUA", async () => {
    let flushed = 0;
    const backend = growingDisk();
    const flush = (): void => void flushed++;
    server.addExport({
      name: "d",
      allowResize: true,
      backend: Object.defineProperty(backend, "flush", { value: flush }),
    });
    await (await open()).resize(2 * MIB, { fua: true });
    expect(flushed).toBe(1);
  });

  test("can be exported again", async () => {
    const { sizes } = serve();
    const inner = await open();
    server.addExport({ name: "again", backend: inner.asBackend(), allowResize: true });
    const client = await place.open({ exportName: "again" });
    await client.resize(2 * MIB);
    await client.write(Buffer.alloc(512), 2 * MIB - 512);
    expect(sizes).toEqual([MIB, 2 * MIB]);
  });
});

describe("resize is refused", () => {
  test.each([
    ["where the export does not allow it", { allowResize: false }, 22],
    ["on an export that is read only", { readOnly: true }, 1],
  ])("%s", async (_what, options, errno) => {
    const { sizes } = serve(options);
    expect((await open()).canResize).toBe(false);
    await expect((await open()).resize(2 * MIB)).rejects.toMatchObject({ code: "NBD_UNSUPPORTED" });
    const client = await raw();
    client.request({ type: wire.CMD_RESIZE, offset: 2 * MIB, length: 0 });
    expect((await client.take(16)).readUInt32BE(4)).toBe(errno);
    expect(sizes).toEqual([MIB]);
  });

  test("with a length, with flags that it does not have, and beyond what is a size", async () => {
    const { sizes } = serve();
    const client = await raw();
    for (const [request, errno] of [
      [{ offset: 2 * MIB, length: 1 }, 22],
      [{ offset: 2 * MIB, length: 0, flags: wire.CMD_FLAG_NO_HOLE }, 22],
      [{ offset: 2 ** 53, length: 0 }, 28],
    ] as const) {
      client.request({ type: wire.CMD_RESIZE, ...request });
      expect((await client.take(16)).readUInt32BE(4)).toBe(errno);
    }
    expect(sizes).toEqual([MIB]);
  });
});

test("a file grows on a client's word, and does not become smaller", async () => {
  const file = place.closeAfter(openRawFile(join(place.folder, "disk.raw"), { sizeBytes: MIB }));
  server.addExport({ name: "d", backend: file, allowResize: true });
  const client = await open();
  await client.resize(2 * MIB);
  const target = Buffer.alloc(512, 1);
  await client.read(target, 2 * MIB - 512);
  expect([file.sizeBytes, target.equals(Buffer.alloc(512))]).toEqual([2 * MIB, true]);
  await expect(client.resize(MIB)).rejects.toMatchObject({ errno: "EINVAL" });
  await server.removeExport("d");
});
