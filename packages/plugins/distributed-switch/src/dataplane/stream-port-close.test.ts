import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { recordOf } from "./ethernet-frame.ts";
import { QueueMemory } from "./queue-memory.ts";
import { StreamPort } from "./stream-port.ts";

/** A NIC that counts what it reads, and a port that is connected to it. */
async function connected(
  stack: AsyncDisposableStack,
): Promise<{ port: StreamPort; socket: Socket; octets: () => number }> {
  const directory = await mkdtemp(join(tmpdir(), "vdc-stream-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const server: Server = createServer();
  const path = join(directory, "nic");
  server.listen(path);
  stack.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
  let octets = 0;
  const accepted = once(server, "connection");
  const up = Promise.withResolvers<void>();
  const port = new StreamPort({
    path,
    memory: new QueueMemory(1 << 30),
    onFrame: () => undefined,
    onTooLong: () => undefined,
    onBatchEnd: () => undefined,
    onLink: () => up.resolve(),
  });
  port.dial();
  const [socket] = (await accepted) as [Socket];
  stack.defer(() => void socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    octets += chunk.length;
  });
  socket.on("error", () => undefined);
  await up.promise;
  return { port, socket, octets: () => octets };
}

const record = recordOf(Buffer.alloc(1500));

it("hangs up after what was delivered, flushed or not, is with a NIC that reads", async () => {
  await using stack = new AsyncDisposableStack();
  const { port, socket, octets } = await connected(stack);
  let delivered = 0;
  // More than the kernel takes at once.
  while (port.deliver(record, 4, record.length) === undefined) delivered += record.length;
  const ended = once(socket, "close");
  await port.close();
  await ended;
  expect(octets()).toBe(delivered);
});

it("waits for a NIC that doesn't read no longer than it must", async () => {
  await using stack = new AsyncDisposableStack();
  const { port, socket } = await connected(stack);
  socket.pause();
  while (port.deliver(record, 4, record.length) === undefined);
  const before = performance.now();
  await port.close();
  expect(performance.now() - before).toBeLessThan(5_000);
});
