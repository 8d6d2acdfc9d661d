import { beforeEach, describe, expect, test } from "vitest";
import { createMemoryDisk, createSparseDisk } from "../../test/memory-disk.ts";
import { NbdPlace } from "../../test/nbd-place.ts";
import { type RawClient, takeChunks } from "../../test/raw-client.ts";
import type { BlockBackend, NbdClient, NbdServer } from "../index.ts";
import * as wire from "../wire/wire-constants.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const place = new NbdPlace();
let server: NbdServer;

beforeEach(async () => {
  server = await place.listen();
});

const open = (exportName: string): Promise<NbdClient> => place.open({ exportName });

async function raw(): Promise<RawClient> {
  const client = await place.raw();
  await client.option(wire.OPT_STRUCTURED_REPLY);
  return client;
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
    const answer = await takeChunks(client);
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
      expect(await takeChunks(client)).toMatchObject([{ type: wire.REPLY_OFFSET_DATA, isLast: true }]);
    }
    const old = await place.open({ exportName: "d", structured: false });
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
    expect((await takeChunks(client)).map(({ type }) => type)).toEqual([
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
