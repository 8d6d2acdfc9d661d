import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { recordOf } from "./ethernet-frame.ts";
import { QueueMemory } from "./queue-memory.ts";
import { StreamPort } from "./stream-port.ts";

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A NIC that reads nothing until it is told to, and the port that dialled it. */
async function connect(
  queueBytes: number,
  memory: QueueMemory = new QueueMemory(Number.POSITIVE_INFINITY),
): Promise<{ readonly port: StreamPort; readonly nic: Socket; readonly got: Buffer[] }> {
  const folder = await mkdtemp(join(tmpdir(), "vdc-stream-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "nic.sock");
  const server: Server = createServer({ pauseOnConnect: true }).listen(path);
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  let up: () => void = () => undefined;
  const linked = new Promise<void>((resolve) => {
    up = resolve;
  });
  const port = new StreamPort({
    path,
    queueBytes,
    memory,
    redialMs: 60_000,
    onFrame: () => undefined,
    onTooLong: () => undefined,
    onBatchEnd: () => undefined,
    onLink: (isUp) => isUp && up(),
  });
  port.dial();
  await linked;
  const [nic] = await accepted;
  cleanups.push(async () => nic.destroy());
  cleanups.push(() => port.close());
  const got: Buffer[] = [];
  nic.on("data", (chunk: Buffer) => got.push(chunk));
  nic.pause();
  return { port, nic, got };
}

describe("StreamPort", () => {
  it("delivers what it took, whole and in order, to a NIC that was slow while others were busy", async () => {
    const slow = await connect(1024 * 1024);
    const busy = await connect(64 * 1024 * 1024);
    busy.nic.resume();
    const taken: Buffer[] = [];
    let refused = 0;
    // Memory that is used again after each turn, as that of received frames is.
    const memory = Buffer.alloc(4096);
    for (let turn = 0; turn < 400; turn++) {
      for (let number = 0; number < 4; number++) {
        const record = recordOf(Buffer.alloc(1000 + ((turn * 7 + number) % 500), turn * 4 + number));
        record.copy(memory);
        if (slow.port.deliver(memory, 4, record.length) === undefined) taken.push(record);
        else refused += 1;
        slow.port.flush();
        memory.fill(0xff, 0, record.length);
        memory.writeUInt32BE(60);
        busy.port.deliver(memory, 4, 64);
        busy.port.flush();
      }
      if (turn === 350) slow.nic.resume();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(refused).toBeGreaterThan(0);
    const expected = Buffer.concat(taken);
    while (slow.got.reduce((sum, { length }) => sum + length, 0) < expected.length) await once(slow.nic, "data");
    expect(Buffer.concat(slow.got).equals(expected)).toBe(true);
    expect(slow.port.queuedBytes).toBe(0);
    while (busy.got.reduce((sum, { length }) => sum + length, 0) < 1600 * 64) await once(busy.nic, "data");
    expect(Buffer.concat(busy.got).every((octet, at) => octet === (at % 64 < 3 ? 0 : at % 64 === 3 ? 60 : 0xff))).toBe(
      true,
    );
  });

  it("shares memory with the queues of others: none takes it all, and it is given back by those that read and those that go", async () => {
    const memory = new QueueMemory(4 * 1024 * 1024);
    const record = recordOf(Buffer.alloc(1514, 7));
    /** Delivers until a frame is refused, and returns how much waits. */
    const fill = async ({ port }: { readonly port: StreamPort }): Promise<number> => {
      while (port.deliver(record, 4, record.length) === undefined) {
        port.flush();
        await new Promise((resolve) => setImmediate(resolve));
      }
      return port.queuedBytes;
    };
    const ports = [
      await connect(1 << 30, memory),
      await connect(1 << 30, memory),
      await connect(1 << 30, memory),
    ] as const;
    const waiting: number[] = [];
    for (const port of ports) waiting.push(await fill(port));
    // The first took half, the next half of what was left, and so on.
    const halves = waiting.map((octets) => Math.round((octets / memory.limit) * 100) / 100);
    expect(halves).toEqual([0.5, 0.25, 0.12]);
    expect(memory.used).toBe(waiting.reduce((sum, octets) => sum + octets, 0));
    ports[0].nic.resume();
    while (ports[0].port.queuedBytes > 0) await once(ports[0].nic, "data");
    ports[1].nic.destroy();
    await ports[2].port.close();
    await expect.poll(() => memory.used).toBe(0);
  });
});
