import { spawnSync } from "node:child_process";
import { readdir, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createMemoryDisk, type MemoryDisk } from "../../test/memory-disk.ts";
import { NbdPlace } from "../../test/nbd-place.ts";
import { RawClient } from "../../test/raw-client.ts";
import { NbdClient, NbdServer, type NbdServerOptions } from "../index.ts";
import * as wire from "../wire/wire-constants.ts";

const MIB = 1024 * 1024;

const place = new NbdPlace();
let server: NbdServer;
let disk: MemoryDisk;

async function serve(options: NbdServerOptions = {}): Promise<void> {
  server = await place.listen(options);
  disk = createMemoryDisk(64 * MIB);
  server.addExport({ name: "d", backend: disk });
}

const open = (exportName = "d"): Promise<NbdClient> => place.open({ exportName });
const raw = (): Promise<RawClient> => place.raw();

describe("listening", () => {
  test("the socket is for its owner alone, and leaves nothing behind", async () => {
    await serve();
    expect((await stat(place.path)).mode & 0o777).toBe(0o600);
    expect(await readdir(place.folder)).toEqual(["s"]);
    await server.close();
    expect(await readdir(place.folder)).toEqual([]);
  });

  test("a served socket is not taken over, a dead one is, and a file is left alone", async () => {
    await serve();
    const other = new NbdServer();
    await expect(other.listenUnix(place.path)).rejects.toMatchObject({ code: "NBD_ADDRESS_IN_USE" });
    const file = join(place.folder, "file");
    await writeFile(file, "precious");
    await expect(other.listenUnix(file)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
    await other.close();
    const dead = join(place.folder, "dead");
    spawnSync(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 9))`,
    ]);
    expect((await stat(dead)).isSocket()).toBe(true);
    await server.listenUnix(dead);
    const client = await NbdClient.connect(dead, { exportName: "d" });
    await client.close();
  });

  test("drops clients over the limit, and those that never choose an export", async () => {
    await serve({ maxConnections: 1, handshakeTimeoutMs: 500 });
    const first = await raw();
    const second = connect(place.path);
    await new Promise((resolve) => second.once("close", resolve));
    await first.closed;
    const third = await raw();
    expect(third.isOpen).toBe(true);
  });
});

describe("negotiation", () => {
  test("answers what it doesn't know with ERR_UNSUP and goes on", async () => {
    await serve();
    const client = await raw();
    for (const option of [5, 11, 99])
      expect(await client.option(option, Buffer.alloc(10))).toMatchObject([{ type: wire.REP_ERR_UNSUP }]);
    const bad = [Buffer.alloc(0), Buffer.alloc(5), Buffer.from("00000009640000", "hex"), Buffer.alloc(7)];
    for (const data of bad)
      expect(await client.option(wire.OPT_GO, data)).toMatchObject([{ type: wire.REP_ERR_INVALID }]);
    expect(await client.option(wire.OPT_SET_META_CONTEXT, Buffer.alloc(8))).toMatchObject([
      { type: wire.REP_ERR_INVALID },
    ]);
    expect(await client.option(wire.OPT_LIST, Buffer.from("x"))).toMatchObject([{ type: wire.REP_ERR_INVALID }]);
    expect(await client.option(wire.OPT_LIST)).toMatchObject([{ type: wire.REP_SERVER }, { type: wire.REP_ACK }]);
    expect(await client.option(wire.OPT_ABORT)).toMatchObject([{ type: wire.REP_ACK }]);
    await client.closed;
  });

  test("serves the old EXPORT_NAME, with and without the zeroes", async () => {
    await serve();
    for (const [flags, bytes] of [
      [1, 134],
      [3, 10],
    ] as const) {
      const client = await place.raw(flags);
      client.sendOption(wire.OPT_EXPORT_NAME, Buffer.from("d"));
      const shape = await client.take(bytes);
      expect(shape.readBigUInt64BE(0)).toBe(BigInt(64 * MIB));
      client.request({ type: wire.CMD_READ, offset: 0, length: 512 });
      expect((await client.take(16 + 512)).readUInt32BE(4)).toBe(0);
    }
    const unknown = await raw();
    unknown.sendOption(wire.OPT_EXPORT_NAME, Buffer.from("none"));
    await unknown.closed;
  });

  test("drops a client with unknown flags, a wrong magic, or an endless option", async () => {
    await serve();
    await (await RawClient.connect(place.path, 7)).closed;
    const wrong = await raw();
    wrong.write(Buffer.alloc(16, 1));
    await wrong.closed;
    const endless = await raw();
    endless.sendOption(wire.OPT_GO, Buffer.alloc(0), 0xffffffff);
    await endless.closed;
  });
});

describe("requests", () => {
  test.each([
    ["a read beyond the end", { type: wire.CMD_READ, offset: 64 * MIB - 1, length: 2 }, 22],
    ["a read beyond 2^63", { type: wire.CMD_READ, offset: 2 ** 63, length: 2 }, 22],
    ["a read of more than the limit", { type: wire.CMD_READ, offset: 0, length: 33 * MIB }, 22],
    ["a write beyond the end", { type: wire.CMD_WRITE, offset: 64 * MIB - 1, length: 2 }, 28],
    ["zeroes beyond the end", { type: wire.CMD_WRITE_ZEROES, offset: 64 * MIB, length: 2 ** 31 }, 28],
    ["a trim beyond the end", { type: wire.CMD_TRIM, offset: 64 * MIB, length: 1 }, 22],
    ["an unknown command", { type: 77, offset: 0, length: 0 }, 22],
    ["an unknown flag", { type: wire.CMD_READ, offset: 0, length: 1, flags: 64 }, 22],
    ["a flag of another command", { type: wire.CMD_WRITE, offset: 0, length: 1, flags: wire.CMD_FLAG_DF }, 22],
    ["a flush with a range", { type: wire.CMD_FLUSH, offset: 1, length: 0 }, 22],
    ["a cache that is not offered", { type: wire.CMD_CACHE, offset: 0, length: 1 }, 22],
    ["a block status that was not negotiated", { type: wire.CMD_BLOCK_STATUS, offset: 0, length: 1 }, 22],
  ])("%s is refused and the connection goes on", async (_what, request, errno) => {
    await serve();
    const client = await raw();
    await client.go("d");
    client.request(request);
    expect((await client.take(16)).readUInt32BE(4)).toBe(errno);
    client.request({ type: wire.CMD_FLUSH, offset: 0, length: 0 });
    expect((await client.take(16)).readUInt32BE(4)).toBe(0);
    expect(disk.calls).toMatchObject({ read: 0, write: 0, trim: 0, writeZeroes: 0, flush: 1 });
  });

  test("a write over the limit, a wrong magic and a half request end the connection, not the server", async () => {
    await serve();
    const big = await raw();
    await big.go("d");
    big.request({ type: wire.CMD_WRITE, offset: 0, length: 33 * MIB, payload: Buffer.alloc(0) });
    await big.closed;
    const wrong = await raw();
    await wrong.go("d");
    wrong.write(Buffer.alloc(28, 9));
    await wrong.closed;
    const half = await raw();
    await half.go("d");
    half.request({ type: wire.CMD_WRITE, offset: 0, length: 4096, payload: Buffer.alloc(100, 1) });
    half.end();
    await half.closed;
    expect(disk.calls.write).toBe(0);
    await (await open()).flush();
  });

  test("a client that only half-closes gets its answers", async () => {
    await serve();
    const client = await raw();
    await client.go("d");
    client.request({ type: wire.CMD_READ, offset: 0, length: MIB });
    client.request({ type: wire.CMD_DISC, offset: 0, length: 0 });
    client.end();
    expect(await client.take(16 + MIB)).toHaveLength(16 + MIB);
    await client.closed;
  });

  test("what a backend fails with arrives under its name, thrown or rejected", async () => {
    const errors: unknown[] = [];
    await serve({ onError: (error) => errors.push(error) });
    disk.write = () => {
      throw Object.assign(new Error("full"), { code: "ENOSPC" });
    };
    disk.read = () => Promise.reject(Object.assign(new Error("bad"), { code: "SOMETHING" }));
    disk.extents = () => {
      throw new Error("no map");
    };
    const client = await open();
    await expect(client.write(Buffer.alloc(1), 0)).rejects.toMatchObject({ errno: "ENOSPC" });
    await expect(client.read(Buffer.alloc(1), 0)).rejects.toMatchObject({ errno: "EIO" });
    await expect(client.blockStatus(0, 1)).rejects.toMatchObject({ errno: "EIO" });
    expect(errors).toHaveLength(3);
  });

  test("flushes that wait share the next one, never a running one", async () => {
    await serve();
    const gates: (() => void)[] = [];
    disk.flush = () => new Promise<void>((resolve) => gates.push(resolve));
    const client = await open();
    const all = Array.from({ length: 10 }, () => client.flush());
    // An answer to a later request: by then all flushes have arrived.
    await client.read(Buffer.alloc(1), 0);
    expect(gates).toHaveLength(1);
    gates[0]?.();
    await all[0];
    await client.read(Buffer.alloc(1), 0);
    expect(gates).toHaveLength(2);
    gates[1]?.();
    await Promise.all(all);
  });
});

describe("back-pressure", () => {
  test("a client that never reads is read no further, and what is held for it stays bounded", async () => {
    const limit = MIB;
    await serve({ maxQueuedBytes: limit });
    const client = await raw();
    await client.go("d");
    client.pause();
    for (let index = 0; index < 400; index++) client.request({ type: wire.CMD_READ, offset: 0, length: 256 * 1024 });
    // Another client's request is served meanwhile, after the first one has been stopped.
    const other = await open();
    for (let round = 0; round < 20; round++) await other.flush();
    const served = disk.calls.read;
    expect(served).toBeLessThan(20);
    for (let round = 0; round < 20; round++) await other.flush();
    expect(disk.calls.read).toBe(served);
    client.resume();
    for (let index = 0; index < 400; index++) await client.take(16 + 256 * 1024);
    expect(disk.calls.read).toBe(400);
  });

  test("no more requests are begun than the limit allows", async () => {
    await serve({ maxInFlight: 4 });
    let running = 0;
    let most = 0;
    disk.read = async (target) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      target.fill(1);
    };
    const client = await open();
    await Promise.all(Array.from({ length: 100 }, () => client.read(Buffer.alloc(512), 0)));
    expect(most).toBe(4);
  });

  test("a client that floods with options and never reads is stopped too", async () => {
    await serve({ maxQueuedBytes: 64 * 1024 });
    server.addExport({ name: "x".repeat(4000), backend: disk });
    const client = await raw();
    client.pause();
    for (let index = 0; index < 1000; index++) client.sendOption(wire.OPT_LIST);
    await (await open()).flush();
    client.resume();
    for (let index = 0; index < 1000; index++) expect(await client.replies(wire.OPT_LIST)).toHaveLength(3);
  });
});

test("names and sizes of exports are checked", async () => {
  await serve();
  const backend = disk;
  for (const name of ["d", "a\0b", "x".repeat(4097)]) {
    expect(() => server.addExport({ name, backend })).toThrowError(
      expect.objectContaining({ code: "NBD_INVALID_ARGUMENT" }),
    );
  }
  expect(() => server.addExport({ name: "n", backend: { ...disk, sizeBytes: 1.5 } })).toThrowError();
});

test("a client of a server that is no NBD server, or talks nonsense, fails with a code", async () => {
  await serve();
  const sockets: Socket[] = [];
  const http = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  const address = join(place.folder, "http");
  await new Promise<void>((resolve) => http.listen(address, resolve));
  await expect(NbdClient.connect(address)).rejects.toMatchObject({ code: "NBD_PROTOCOL" });
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => http.close(resolve));
});
