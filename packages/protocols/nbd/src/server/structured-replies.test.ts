import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createMemoryDisk } from "../../test/memory-disk.ts";
import { RawClient } from "../../test/raw-client.ts";
import { type BlockBackend, type DirtyExtent, NbdClient, NbdServer } from "../index.ts";
import * as wire from "../wire/wire-constants.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

let folder: string;
let path: string;
let server: NbdServer;
let opened: { close(): unknown }[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nbd-structured-"));
  path = join(folder, "s");
  opened = [];
  server = new NbdServer();
  await server.listenUnix(path);
});

afterEach(async () => {
  for (const one of opened) await one.close();
  await server.close({ graceMs: 0 });
  await rm(folder, { recursive: true, force: true });
});

async function open(exportName: string, bitmaps: readonly string[] = []): Promise<NbdClient> {
  const client = await NbdClient.connect(path, { exportName, bitmaps });
  opened.push(client);
  return client;
}

async function raw(): Promise<RawClient> {
  const client = await RawClient.connect(path);
  opened.push(client);
  await client.option(wire.OPT_STRUCTURED_REPLY);
  return client;
}

interface Chunk {
  readonly isLast: boolean;
  readonly type: number;
  readonly payload: Buffer;
}

async function chunks(client: RawClient): Promise<Chunk[]> {
  const all: Chunk[] = [];
  for (;;) {
    const head = await client.take(wire.STRUCTURED_REPLY_BYTES);
    expect(head.readUInt32BE(0)).toBe(wire.STRUCTURED_REPLY_MAGIC);
    const isLast = (head.readUInt16BE(4) & wire.REPLY_FLAG_DONE) !== 0;
    all.push({ isLast, type: head.readUInt16BE(6), payload: await client.take(head.readUInt32BE(16)) });
    if (isLast) return all;
  }
}

function contextQuery(name: string, ...queries: readonly string[]): Buffer {
  const parts = [name, ...queries].map((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(text));
    return Buffer.concat([length, Buffer.from(text)]);
  });
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return Buffer.concat([parts[0] as Buffer, count, ...parts.slice(1)]);
}

/** 1 MiB with data in the first 4 KiB, from 256 to 512 KiB, and in the last 4 KiB. */
function createSparseDisk(): BlockBackend & { readonly bytes: Buffer } {
  const disk = createMemoryDisk(MIB);
  for (const [at, length] of [
    [0, 4 * KIB],
    [256 * KIB, 256 * KIB],
    [MIB - 4 * KIB, 4 * KIB],
  ] as const) {
    disk.write(Buffer.alloc(length, "data "), at);
  }
  return { ...disk, sparseReads: true };
}

describe("sparse reads", () => {
  test.each([
    ["at once", (disk: BlockBackend) => disk],
    ["later", (disk: BlockBackend) => ({ ...disk, read: async (target: Buffer, at: number) => disk.read(target, at) })],
  ])("of a backend that answers %s leave zeroes out, and say which", async (_when, wrap) => {
    const disk = createSparseDisk();
    server.addExport({ name: "d", backend: wrap(disk) });
    const client = await raw();
    await client.go("d");
    client.request({ type: wire.CMD_READ, offset: 0, length: MIB });
    const answer = await chunks(client);
    expect(answer.map(({ type, payload }) => [type, Number(payload.readBigUInt64BE(0)), payload.length])).toEqual([
      [wire.REPLY_OFFSET_DATA, 0, 8 + 4 * KIB],
      [wire.REPLY_OFFSET_HOLE, 4 * KIB, 12],
      [wire.REPLY_OFFSET_DATA, 256 * KIB, 8 + 256 * KIB],
      [wire.REPLY_OFFSET_HOLE, 512 * KIB, 12],
      [wire.REPLY_OFFSET_DATA, MIB - 4 * KIB, 8 + 4 * KIB],
    ]);
    expect(answer[1]?.payload.readUInt32BE(8)).toBe(252 * KIB);
    const ours = await open("d");
    const target = Buffer.alloc(MIB, 1);
    await ours.read(target, 0);
    expect(target.equals(disk.bytes)).toBe(true);
  });

  test("are one piece where the client asks for that, or is older, or the range is small", async () => {
    const disk = createSparseDisk();
    server.addExport({ name: "d", backend: disk });
    const client = await raw();
    await client.go("d");
    for (const [length, flags] of [
      [MIB, wire.CMD_FLAG_DF],
      [4 * KIB, 0],
    ] as const) {
      client.request({ type: wire.CMD_READ, offset: 0, length, flags });
      expect(await chunks(client)).toMatchObject([{ type: wire.REPLY_OFFSET_DATA, isLast: true }]);
    }
    const old = await NbdClient.connect(path, { exportName: "d", structured: false });
    opened.push(old);
    const target = Buffer.alloc(MIB, 1);
    await old.read(target, 0);
    expect(target.equals(disk.bytes)).toBe(true);
  });

  test("that fail half-way end with the error, and the connection goes on", async () => {
    const disk = createSparseDisk();
    const read = (target: Buffer, at: number) => {
      if (at > 0) throw Object.assign(new Error("bad sector"), { code: "EIO" });
      return disk.read(target, at);
    };
    let ended = 0;
    server.addExport({ name: "d", backend: { ...disk, read }, interceptor: { after: () => void ended++ } });
    const client = await raw();
    await client.go("d");
    client.request({ type: wire.CMD_READ, offset: 0, length: MIB });
    expect((await chunks(client)).map(({ type }) => type)).toEqual([
      wire.REPLY_OFFSET_DATA,
      wire.REPLY_OFFSET_HOLE,
      wire.REPLY_ERROR,
    ]);
    const ours = await open("d");
    await expect(ours.read(Buffer.alloc(MIB), 0)).rejects.toMatchObject({ errno: "EIO" });
    await ours.read(Buffer.alloc(4096), 0);
    expect(ended).toBe(3);
  });

  test("hold an export until their last part has been read", async () => {
    const disk = createSparseDisk();
    const gates: (() => void)[] = [];
    const read = async (target: Buffer, at: number) => {
      await new Promise<void>((resolve) => gates.push(resolve));
      await disk.read(target, at);
    };
    server.addExport({ name: "d", backend: { ...disk, read } });
    const client = await open("d");
    const target = Buffer.alloc(MIB);
    const reading = client.read(target, 0);
    let removed = false;
    await expect.poll(() => gates.length).toBe(1);
    const removing = server.removeExport("d").then(() => {
      removed = true;
    });
    for (let part = 0; part < 3; part++) {
      await expect.poll(() => gates.length).toBe(part + 1);
      expect(removed).toBe(false);
      gates[part]?.();
    }
    await Promise.all([reading, removing]);
    expect(target.equals(disk.bytes)).toBe(true);
  });
});

describe("metadata contexts", () => {
  const nightly: readonly DirtyExtent[] = [
    { length: 64 * KIB, dirty: false },
    { length: 64 * KIB, dirty: true },
    { length: MIB - 128 * KIB, dirty: false },
  ];

  function from(extents: readonly DirtyExtent[], offset: number): DirtyExtent[] {
    let at = 0;
    return extents.flatMap(({ length, dirty }) => {
      const start = Math.max(at, offset);
      at += length;
      return at > start ? [{ length: at - start, dirty }] : [];
    });
  }

  beforeEach(() => {
    const bitmaps = () => [
      { name: "nightly", extents: (offset: number) => from(nightly, offset) },
      { name: "later", extents: async (offset: number) => from([{ length: MIB, dirty: true }], offset) },
      { name: "x".repeat(2000), extents: () => [] },
    ];
    server.addExport({ name: "d", backend: { ...createSparseDisk(), bitmaps } });
    server.addExport({ name: "bare", backend: { sizeBytes: 1, read: () => {}, write: () => {}, flush: () => {} } });
  });

  async function list(option: number, ...queries: readonly string[]): Promise<string[]> {
    const client = await raw();
    const replies = await client.option(option, contextQuery("d", ...queries));
    expect(replies.at(-1)?.type).toBe(wire.REP_ACK);
    return replies.slice(0, -1).map(({ data }) => `${data.readUInt32BE(0)} ${data.toString("utf8", 4)}`);
  }

  test("are listed by wildcard and selected by name alone", async () => {
    const bitmaps = ["0 qemu:dirty-bitmap:nightly", "0 qemu:dirty-bitmap:later"];
    const { OPT_LIST_META_CONTEXT: LIST, OPT_SET_META_CONTEXT: SET } = wire;
    expect(await list(LIST)).toEqual(["0 base:allocation", ...bitmaps]);
    expect(await list(LIST, "base:")).toEqual(["0 base:allocation"]);
    expect(await list(LIST, "qemu:")).toEqual(bitmaps);
    expect(await list(LIST, "qemu:dirty-bitmap:")).toEqual(bitmaps);
    expect(await list(LIST, "qemu:dirty-bitmap:later", "other:thing", "base:x")).toEqual(bitmaps.slice(1));
    expect(await list(SET)).toEqual([]);
    expect(await list(SET, "qemu:", "base:", "qemu:dirty-bitmap:")).toEqual([]);
    expect(await list(SET, "qemu:dirty-bitmap:later", "base:allocation")).toEqual([
      "1 base:allocation",
      "2 qemu:dirty-bitmap:later",
    ]);
  });

  test("are answered one chunk each, however they are computed", async () => {
    const client = await open("d", ["later", "nightly", "unknown"]);
    expect(client.bitmaps).toEqual(["nightly", "later"]);
    expect(await client.dirtyExtents("nightly", 0, MIB)).toEqual(nightly);
    expect(await client.dirtyExtents("nightly", 100 * KIB, 32 * KIB)).toEqual([
      { length: 28 * KIB, dirty: true },
      { length: 4 * KIB, dirty: false },
    ]);
    expect(await client.dirtyExtents("later", 0, MIB)).toEqual([{ length: MIB, dirty: true }]);
    expect((await client.extents(0, MIB))[0]).toEqual({ length: 4 * KIB, kind: "data" });
    await expect(client.dirtyExtents("unknown", 0, 1)).rejects.toMatchObject({ code: "NBD_UNSUPPORTED" });
  });

  test("REQ_ONE is answered with one extent for each", async () => {
    const client = await raw();
    await client.option(
      wire.OPT_SET_META_CONTEXT,
      contextQuery("d", "base:allocation", "qemu:dirty-bitmap:nightly", "qemu:dirty-bitmap:later"),
    );
    await client.go("d");
    const request = { type: wire.CMD_BLOCK_STATUS, offset: 0, length: MIB };
    client.request({ ...request, flags: wire.CMD_FLAG_REQ_ONE });
    const answer = await chunks(client);
    expect(
      answer.map(({ payload }) => [
        ...new Uint32Array(payload.swap32().buffer.slice(payload.byteOffset, payload.byteOffset + payload.length)),
      ]),
    ).toEqual([
      [1, 4 * KIB, 0],
      [2, 64 * KIB, 0],
      [3, MIB, 1],
    ]);
    expect(answer.map(({ isLast }) => isLast)).toEqual([false, false, true]);
  });

  test("that were selected for another export, or fail, are refused", async () => {
    const client = await raw();
    await client.option(wire.OPT_SET_META_CONTEXT, contextQuery("d", "base:allocation"));
    await client.go("bare");
    client.request({ type: wire.CMD_BLOCK_STATUS, offset: 0, length: 1 });
    expect((await chunks(client))[0]?.payload.readUInt32BE(0)).toBe(22);
    const failing = [{ name: "bad", extents: () => Promise.reject(new Error("no")) }];
    server.addExport({ name: "failing", backend: { ...createSparseDisk(), bitmaps: () => failing } });
    const ours = await open("failing", ["bad"]);
    await expect(ours.dirtyExtents("bad", 0, MIB)).rejects.toMatchObject({ errno: "EIO" });
    const broken = () => {
      throw new Error("the catalogue is gone");
    };
    server.addExport({ name: "broken", backend: { ...createSparseDisk(), bitmaps: broken } });
    expect((await open("broken")).canBlockStatus).toBe(false);
  });

  test("pass through a server that exports what its client is connected to", async () => {
    const inner = await open("d", ["nightly"]);
    server.addExport({ name: "again", backend: inner.asBackend() });
    const client = await open("again", ["nightly"]);
    expect(client).toMatchObject({ canTrim: true, canWriteZeroes: true, canFastZero: false, canCache: false });
    expect(await client.dirtyExtents("nightly", 0, MIB)).toEqual(nightly);
  });
});

test("fast zeroes are offered by backends that heed them, and refused elsewhere", async () => {
  const disk = createMemoryDisk(MIB);
  const writeZeroes: BlockBackend["writeZeroes"] = (offset, length, how) => {
    if (how.fast && offset % 4096 !== 0) throw Object.assign(new Error("slow"), { code: "ENOTSUP" });
    return disk.writeZeroes(offset, length, how);
  };
  server.addExport({ name: "fast", backend: { ...disk, fastZeroes: true, writeZeroes } });
  server.addExport({ name: "slow", backend: disk });
  const fast = await open("fast");
  await fast.writeZeroes(4096, 4096, { fast: true });
  await expect(fast.writeZeroes(1, 4096, { fast: true })).rejects.toMatchObject({ errno: "ENOTSUP" });
  const slow = await open("slow");
  expect(slow.canFastZero).toBe(false);
  await expect(slow.writeZeroes(0, 4096, { fast: true })).rejects.toMatchObject({ code: "NBD_UNSUPPORTED" });
  const client = await raw();
  await client.go("slow");
  client.request({ type: wire.CMD_WRITE_ZEROES, offset: 0, length: 4096, flags: wire.CMD_FLAG_FAST_ZERO });
  expect((await client.take(16)).readUInt32BE(4)).toBe(22);
});

test("what is read ahead reaches the backend", async () => {
  const ranges: number[][] = [];
  const cache = (offset: number, length: number) => void ranges.push([offset, length]);
  server.addExport({ name: "d", backend: { ...createMemoryDisk(MIB), cache } });
  const client = await open("d");
  await client.cache(4096, MIB - 4096);
  expect(ranges).toEqual([[4096, MIB - 4096]]);
  await expect(client.cache(4096, MIB)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
});

test("a disk may grow while it is served: who connects sees it, and everybody may use it", async () => {
  const disk = createMemoryDisk(2 * MIB);
  let sizeBytes = MIB;
  const grown = Object.defineProperty({ ...disk }, "sizeBytes", { get: () => sizeBytes });
  server.addExport({ name: "d", backend: grown });
  const before = await open("d");
  const client = await raw();
  await client.go("d");
  client.request({ type: wire.CMD_WRITE, offset: MIB, length: 512 });
  expect((await client.take(16)).readUInt32BE(4)).toBe(28);
  sizeBytes = 2 * MIB;
  expect(before.sizeBytes).toBe(MIB);
  client.request({ type: wire.CMD_WRITE, offset: MIB, length: 512 });
  expect((await client.take(16)).readUInt32BE(4)).toBe(0);
  expect((await open("d")).sizeBytes).toBe(2 * MIB);
  sizeBytes = Number.NaN;
  expect((await open("d")).sizeBytes).toBe(2 * MIB);
});
