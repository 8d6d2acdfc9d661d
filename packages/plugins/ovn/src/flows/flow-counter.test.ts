import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FlowCounter } from "./flow-counter.ts";

const hello = Buffer.from("0400000800000000", "hex");

let folder: string;
let remote: string;
let answer: (socket: Socket, request: Buffer) => void;
let stop: () => Promise<void>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vdc-flow-"));
  const path = join(folder, "bridge.mgmt");
  remote = `unix:${path}`;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (request: Buffer) => answer(socket, request));
  });
  await new Promise<void>((resolve) => void server.listen(path, resolve));
  stop = () => new Promise((resolve) => void server.close(() => resolve()));
});
afterEach(async () => {
  await stop();
  await rm(folder, { recursive: true, force: true });
});

/** The answer to a question for an aggregate. */
function counted(request: Buffer, flows: number): Buffer {
  const reply = Buffer.alloc(40);
  reply.set([4, 19, 0, 40], 0);
  reply.set(request.subarray(4, 8), 4);
  reply.writeUInt16BE(2, 8);
  reply.writeUInt32BE(flows, 32);
  return reply;
}

test("counts the flows of a cookie", async () => {
  const cookies: bigint[] = [];
  answer = (socket, request) => {
    if (request.readUInt8(1) === 0) {
      socket.write(hello);
      return;
    }
    cookies.push(request.readBigUInt64BE(32));
    socket.write(counted(request, 3));
  };
  const counter = await FlowCounter.connect({ remote, timeoutMs: 5_000 });
  expect(await counter.count(0xe9_98_c9_e5n)).toBe(3);
  expect(cookies).toEqual([0xe9_98_c9_e5n]);
  counter.close();
  await expect(counter.count(1n)).rejects.toThrow("was closed here");
});

test("tells a bridge that says nothing, and one that hangs up", async () => {
  answer = () => undefined;
  await expect(FlowCounter.connect({ remote, timeoutMs: 50 })).rejects.toThrow("no answer within 50 ms");
  answer = (socket) => void socket.destroy();
  await expect(FlowCounter.connect({ remote, timeoutMs: 5_000 })).rejects.toThrow("hung up");
});

test("whatever a bridge sends is a number or a failure", async () => {
  const numRuns = process.env.VDC_DEEP ? 5_000 : 200;
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), fc.nat(39), async (octets, isChanged, at) => {
      answer = (socket, request) => {
        if (request.readUInt8(1) === 0) {
          socket.write(hello);
          return;
        }
        const good = counted(request, 1);
        good[at] = octets[0] ?? 0;
        socket.end(isChanged ? good : Buffer.from(octets));
      };
      const counter = await FlowCounter.connect({ remote, timeoutMs: 1_000 });
      const result = await counter.count(1n).catch((error: Error) => error.message);
      expect(["number", "string"]).toContain(typeof result);
      counter.close();
    }),
    { seed: 20_261_123, numRuns },
  );
});
