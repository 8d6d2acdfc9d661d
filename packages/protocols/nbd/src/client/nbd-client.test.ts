import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createMemoryDisk, type MemoryDisk } from "../../test/memory-disk.ts";
import { NbdClient, type NbdConnectOptions, NbdServer } from "../index.ts";

const MIB = 1024 * 1024;
const SIZE = 80 * MIB;

let folder: string;
let path: string;
let server: NbdServer;
let disk: MemoryDisk;
let clients: NbdClient[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nbd-"));
  path = join(folder, "s");
  server = new NbdServer();
  disk = createMemoryDisk(SIZE);
  server.addExport({ name: "d", backend: disk });
  await server.listenUnix(path);
  clients = [];
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(options: NbdConnectOptions = {}): Promise<NbdClient> {
  const client = await NbdClient.connect(path, { exportName: "d", ...options });
  clients.push(client);
  return client;
}

describe.each([true, false])("NbdClient with our server, structured replies: %s", (structured) => {
  test("learns what the export can do", async () => {
    const client = await open({ structured });
    expect(client).toMatchObject({ sizeBytes: SIZE, readOnly: false, canMultiConnect: true, canTrim: true });
    expect(client.canBlockStatus).toBe(structured);
  });

  test("reads what it wrote, pipelined and split", async () => {
    const client = await open({ structured });
    const data = Buffer.alloc(70 * MIB);
    for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(at, at);
    await client.write(data, 5);
    expect(disk.calls.write).toBe(3);
    const back = Buffer.alloc(data.length);
    await client.read(back, 5);
    expect(back.equals(data)).toBe(true);
    const parts = Array.from({ length: 300 }, (_, index) => ({ at: index * 7919, target: Buffer.alloc(4096) }));
    await Promise.all(parts.map(({ at, target }) => client.read(target, 5 + at)));
    expect(parts.every(({ at, target }) => target.equals(data.subarray(at, at + 4096)))).toBe(true);
  });

  test("behaves as a plain buffer does, whatever the sequence", async () => {
    const client = await open({ structured });
    const model = Buffer.alloc(64 * 1024);
    const range = fc
      .tuple(fc.nat(model.length), fc.nat(model.length))
      .map(([a, b]) => ({ offset: Math.min(a, b), length: Math.abs(a - b) }));
    const step = fc.record({
      kind: fc.constantFrom("read", "write", "zero", "trim", "flush"),
      range,
      fill: fc.nat(255),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        for (const { kind, range, fill } of steps) {
          const { offset, length } = range;
          if (kind === "flush") await client.flush();
          else if (kind === "write") {
            await client.write(Buffer.alloc(length, fill), offset, { fua: fill % 2 === 0 });
            model.fill(fill, offset, offset + length);
          } else if (kind === "read") {
            const target = Buffer.alloc(length, 1);
            await client.read(target, offset);
            expect(target.equals(model.subarray(offset, offset + length))).toBe(true);
          } else {
            if (kind === "zero") await client.writeZeroes(offset, length, { noHole: fill % 2 === 0 });
            else await client.trim(offset, length);
            model.fill(0, offset, offset + length);
          }
        }
        expect(disk.bytes.subarray(0, model.length).equals(model)).toBe(true);
      }),
      { seed: 11, numRuns: process.env.VDC_DEEP ? 1000 : 60 },
    );
  });
});

describe("NbdClient", () => {
  test("tells extents, whole or a reply at a time", async () => {
    const client = await open();
    await client.write(Buffer.alloc(8192, 1), 4096);
    await client.writeZeroes(8192, 4096, { noHole: true });
    expect(await client.extents(0, SIZE)).toEqual([
      { length: 4096, kind: "hole" },
      { length: 4096, kind: "data" },
      { length: 4096, kind: "zero" },
      { length: SIZE - 12288, kind: "hole" },
    ]);
    expect(await client.blockStatus(5000, 100)).toEqual([{ length: 100, kind: "data" }]);
    const plain = await open({ structured: false });
    await expect(plain.blockStatus(0, 1)).rejects.toMatchObject({ code: "NBD_UNSUPPORTED" });
  });

  test("names an unknown export and a silent address", async () => {
    await expect(open({ exportName: "nope" })).rejects.toMatchObject({ code: "NBD_EXPORT_UNKNOWN" });
    await expect(NbdClient.connect(join(folder, "none"))).rejects.toMatchObject({
      code: "NBD_CONNECT_FAILED",
      retryable: true,
    });
    await expect(open({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "NBD_ABORTED" });
  });

  test("uses the option of old servers where GO is unknown, with the zeroes that those send", async () => {
    for (const [flags, shapeBytes] of [
      [1, 134],
      [3, 10],
    ] as const) {
      const [ours, theirs] = duplexPair();
      const options: number[] = [];
      const head = Buffer.from("NBDMAGICIHAVEOPT\0\0");
      head.writeUInt16BE(flags, 16);
      theirs.write(head);
      let greeted = false;
      theirs.on("data", (chunk: Buffer) => {
        if (!greeted) {
          greeted = true;
          expect(chunk.readUInt32BE(0)).toBe(flags);
          if (chunk.length === 4) return;
        }
        const option = chunk.readUInt32BE(chunk.length === 4 ? 0 : chunk.lastIndexOf("IHAVEOPT") + 8);
        options.push(option);
        if (option === 1) {
          const shape = Buffer.alloc(shapeBytes);
          shape.writeBigUInt64BE(BigInt(SIZE), 0);
          shape.writeUInt16BE(1, 8);
          theirs.write(shape);
          return;
        }
        const reply = Buffer.alloc(20);
        Buffer.from("0003e889045565a9", "hex").copy(reply);
        reply.writeUInt32BE(option, 8);
        reply.writeUInt32BE(0x8000_0001, 12);
        theirs.write(reply);
      });
      const client = await NbdClient.connect(ours, { exportName: "d" });
      expect(client).toMatchObject({ sizeBytes: SIZE, canBlockStatus: false, canTrim: false });
      // Without the flag for it there is no flush to ask for.
      await client.flush();
      expect(options).toEqual([8, 7, 1]);
      theirs.removeAllListeners("data");
      theirs.resume();
      theirs.end();
      await client.close();
    }
  });

  test("refuses ranges outside of the export without asking", async () => {
    const client = await open();
    await expect(client.read(Buffer.alloc(2), SIZE - 1)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
    await expect(client.write(Buffer.alloc(2), -1)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
  });

  test("an aborted read never touches its target again, and the connection goes on", async () => {
    let finish: (() => void) | undefined;
    const slow = { ...createMemoryDisk(4096), sizeBytes: 4096 };
    slow.read = (target) => {
      if (finish) {
        target.fill(2);
        return undefined;
      }
      return new Promise<void>((resolve) => {
        finish = () => {
          target.fill(1);
          resolve();
        };
      });
    };
    server.addExport({ name: "slow", backend: slow });
    const client = await open({ exportName: "slow" });
    const controller = new AbortController();
    const target = Buffer.alloc(16);
    const reading = client.read(target, 0, { signal: controller.signal });
    const other = Buffer.alloc(16);
    // The first read has reached the backend once the second is answered.
    await client.read(other, 0);
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: "NBD_ABORTED" });
    finish?.();
    await client.flush();
    await client.read(other, 0);
    expect(target).toEqual(Buffer.alloc(16));
    expect(other).toEqual(Buffer.alloc(16, 2));
  });

  test("gives up a server that doesn't answer", async () => {
    server.addExport({
      name: "stuck",
      backend: { ...createMemoryDisk(4096), flush: () => new Promise(() => {}) },
    });
    const client = await open({ exportName: "stuck", requestTimeoutMs: 40 });
    await expect(client.flush()).rejects.toMatchObject({ code: "NBD_TIMEOUT" });
    expect(await client.closed).toMatchObject({ code: "NBD_TIMEOUT" });
  });

  test("fails what is in flight when it ends", async () => {
    server.addExport({ name: "stuck", backend: { ...createMemoryDisk(4096), flush: () => new Promise(() => {}) } });
    const client = await open({ exportName: "stuck" });
    const flushing = expect(client.flush()).rejects.toMatchObject({ code: "NBD_CLOSED" });
    for (const connection of server.connections) connection.destroy();
    await flushing;
    await expect(client.flush()).rejects.toMatchObject({ code: "NBD_CLOSED" });
  });

  test("what a client is connected to, a server can export again", async () => {
    server.addExport({ name: "again", backend: (await open()).asBackend() });
    const client = await open({ exportName: "again" });
    await client.write(Buffer.from("through two servers"), 1000, { fua: true });
    expect(disk.bytes.toString("utf8", 1000, 1019)).toBe("through two servers");
    expect(await client.extents(0, 8192)).toEqual([
      { length: 4096, kind: "data" },
      { length: 4096, kind: "hole" },
    ]);
  });
});
