import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectQmp } from "./connect-qmp.ts";
import type { QmpClient } from "./qmp-client.ts";

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 1, "minor": 2, "major": 9}, "package": ""}, "capabilities": ["oob"]}}\r\n';

type Request = {
  readonly execute?: string;
  readonly "exec-oob"?: string;
  readonly arguments?: unknown;
  readonly id: number;
};
type Answer = (request: Request, socket: Socket) => void;

let folder: string;
let path: string;
let servers: Server[];
let sockets: Socket[];
let clients: QmpClient[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "qmp-"));
  path = join(folder, "q.sock");
  servers = [];
  sockets = [];
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  await rm(folder, { recursive: true, force: true });
});

/** A server that greets, accepts the negotiation, and leaves every other request to `answer`. */
async function serve(answer: Answer, greeting: string = GREETING): Promise<void> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write(greeting);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
      for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
        const request = JSON.parse(text.slice(0, end)) as Request;
        text = text.slice(end + 1);
        if (request.execute === "qmp_capabilities") reply(socket, { return: {}, id: request.id });
        else answer(request, socket);
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

function reply(socket: Socket, message: unknown): void {
  socket.write(`${JSON.stringify(message)}\r\n`);
}

async function open(options: Parameters<typeof connectQmp>[1] = {}): Promise<QmpClient> {
  const client = await connectQmp(path, options);
  clients.push(client);
  return client;
}

describe("QmpClient", () => {
  test("greets, negotiates and matches answers to overlapping commands by id", async () => {
    const held: Request[] = [];
    await serve((request, socket) => {
      held.push(request);
      if (held.length < 3) return;
      for (const { id, execute } of held.reverse()) reply(socket, { return: { is: execute }, id });
    });
    const client = await open();
    expect(client.version.qemu).toEqual({ major: 9, minor: 2, micro: 1 });
    const results = await Promise.all(["a", "b", "c"].map((name) => client.execute(name)));
    expect(results).toEqual([{ is: "a" }, { is: "b" }, { is: "c" }]);
    expect(client.pendingCount).toBe(0);
  });

  test("waits for a server that isn't there yet", async () => {
    const opening = open({ retryDelayMs: 1 });
    await serve((request, socket) => reply(socket, { return: {}, id: request.id }));
    expect((await opening).isOpen).toBe(true);
  });

  test("gives up after the attempts it was given", async () => {
    await expect(open({ maxAttempts: 3, retryDelayMs: 1 })).rejects.toMatchObject({
      code: "QMP_CONNECT_FAILED",
      retryable: true,
    });
  });

  test("stops trying when the signal fires", async () => {
    const controller = new AbortController();
    const opening = open({ signal: controller.signal });
    controller.abort();
    await expect(opening).rejects.toMatchObject({ code: "QMP_ABORTED" });
  });

  test("times out on a server that never greets", async () => {
    await serve(() => {}, "");
    await expect(open({ timeoutMs: 50 })).rejects.toMatchObject({ code: "QMP_TIMEOUT" });
  });

  test("refused commands carry QEMU's class and text", async () => {
    await serve((request, socket) =>
      reply(socket, { error: { class: "CommandNotFound", desc: "no such command" }, id: request.id }),
    );
    const client = await open();
    await expect(client.execute("nope")).rejects.toMatchObject({
      code: "QMP_COMMAND_FAILED",
      details: { command: "nope", class: "CommandNotFound", desc: "no such command" },
    });
  });

  test("an answer after the deadline is dropped and the connection goes on", async () => {
    let late: (() => void) | undefined;
    await serve((request, socket) => {
      if (request.execute === "slow") late = () => reply(socket, { return: "late", id: request.id });
      else {
        late?.();
        reply(socket, { return: "fast", id: request.id });
      }
    });
    const client = await open();
    await expect(client.execute("slow", {}, { timeoutMs: 20 })).rejects.toMatchObject({ code: "QMP_TIMEOUT" });
    expect(await client.execute("fast")).toBe("fast");
    const controller = new AbortController();
    const aborted = client.execute("slow", {}, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toMatchObject({ code: "QMP_ABORTED", cause: { message: "enough" } });
    expect(client.pendingCount).toBe(0);
  });

  test("everything in flight fails when the connection ends", async () => {
    await serve((_request, socket) => socket.destroy());
    const client = await open();
    const waiting = expect(client.waitForEvent("STOP")).rejects.toMatchObject({ code: "QMP_CLOSED" });
    await expect(client.execute("quit")).rejects.toMatchObject({ code: "QMP_CLOSED" });
    await waiting;
    await client.closed;
    await expect(client.execute("stop")).rejects.toMatchObject({ code: "QMP_CLOSED" });
    await expect(client.waitForEvent("STOP")).rejects.toMatchObject({ code: "QMP_CLOSED" });
  });

  test("delivers events in order, and a listener that throws harms no other", async () => {
    await serve((request, socket) => {
      for (const number of [1, 2, 3]) {
        reply(socket, { event: "RTC_CHANGE", data: { offset: number }, timestamp: { seconds: 1, microseconds: 2 } });
      }
      reply(socket, { return: {}, id: request.id });
    });
    const faults: unknown[] = [];
    const client = await open({ onListenerError: (error) => faults.push(error) });
    client.onEvent(() => {
      throw new Error("bad listener");
    });
    const offsets: number[] = [];
    const off = client.on("RTC_CHANGE", (event) => offsets.push(event.data.offset));
    const second = client.waitForEvent("RTC_CHANGE", { match: (event) => event.data.offset === 2 });
    await client.execute("go");
    expect((await second).timestamp).toEqual({ seconds: 1, microseconds: 2 });
    expect(offsets).toEqual([1, 2, 3]);
    expect(faults).toHaveLength(3);
    off();
    await client.execute("go");
    expect(offsets).toHaveLength(3);
  });

  test("a wait for an event ends by its time or its signal", async () => {
    await serve(() => {});
    const client = await open();
    await expect(client.waitForEvent("STOP", { timeoutMs: 5 })).rejects.toMatchObject({ code: "QMP_TIMEOUT" });
    await expect(client.waitForEvent("STOP", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "QMP_ABORTED",
    });
  });

  test("bounds what is in flight, and refuses arguments that are not JSON", async () => {
    await serve(() => {});
    const client = await open({ maxPending: 1 });
    const first = expect(client.execute("a")).rejects.toMatchObject({ code: "QMP_CLOSED" });
    await expect(client.execute("b")).rejects.toMatchObject({ code: "QMP_BUSY", retryable: true });
    client.close();
    await first;
    const other = await open();
    await expect(other.execute("c", { big: 1n })).rejects.toMatchObject({ code: "QMP_INVALID_ARGUMENT" });
    await expect(other.execute("c", {}, { outOfBand: true })).rejects.toMatchObject({ code: "QMP_INVALID_ARGUMENT" });
  });

  test("executes out of band once negotiated", async () => {
    await serve((request, socket) => reply(socket, { return: request["exec-oob"], id: request.id }));
    const client = await open({ outOfBand: true });
    expect(await client.execute("migrate-pause", {}, { outOfBand: true })).toBe("migrate-pause");
  });

  test.each([
    ["a line over the limit", "x".repeat(5000), "QMP_LINE_TOO_LONG"],
    ["what is not JSON", "{nonsense}\n", "QMP_PROTOCOL"],
    ["what is not an object", "[1, 2]\n", "QMP_PROTOCOL"],
    ["an answer without an id", '{"return": {}}\n', "QMP_PROTOCOL"],
    ["a second greeting", GREETING, "QMP_PROTOCOL"],
  ])("closes on %s", async (_what, bytes, code) => {
    await serve((_request, socket) => socket.write(bytes));
    const client = await open({ maxLineBytes: 4096 });
    await expect(client.execute("go")).rejects.toMatchObject({ code });
    expect(await client.closed).toMatchObject({ code });
    expect(client.isOpen).toBe(false);
  });

  test("survives any line a hostile peer sends", async () => {
    let bytes = "";
    await serve((_request, socket) => socket.end(bytes));
    const text = fc.oneof(fc.json(), fc.string(), fc.constantFrom('{"event": 1}', '{"error": {}, "id": 2}', GREETING));
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 5 }), async (lines) => {
        bytes = lines.join("\n");
        const client = await open();
        await client.execute("go").catch((error: unknown) => {
          expect(error).toMatchObject({ name: "QmpError" });
        });
        client.close();
      }),
      { seed: 7, numRuns: process.env.VDC_DEEP ? 1000 : 40 },
    );
  });
});
