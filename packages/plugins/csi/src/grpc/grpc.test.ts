import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer as createHttp2, type ServerHttp2Stream } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identity } from "../spec/identity-service.ts";
import { GrpcChannel } from "./grpc-channel.ts";
import { handler, serveGrpc } from "./grpc-server.ts";
import { frame } from "./method.ts";

const { getPluginInfo: method } = identity;
const info = { name: "driver.example", vendorVersion: "1", manifest: {} };

let folder: string;
let socketPath: string;
const closers: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-grpc-"));
  socketPath = join(folder, "peer.sock");
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true });
});

function connect(maxMessageBytes?: number): GrpcChannel {
  const channel = new GrpcChannel({ socketPath, maxMessageBytes });
  closers.push(() => channel.close());
  return channel;
}

function ask(channel: GrpcChannel, timeoutMs = 10_000, signal?: AbortSignal): Promise<unknown> {
  return channel.call(method, {}, { timeoutMs, signal });
}

/** A peer of raw bytes. */
async function rawPeer(onConnection: (socket: Socket) => void): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
}

/** A peer that speaks HTTP/2 and answers what it likes. */
async function http2Peer(onStream: (stream: ServerHttp2Stream) => void): Promise<void> {
  const http = createHttp2();
  http.on("sessionError", () => {});
  http.on("stream", (stream) => {
    stream.on("error", () => {});
    onStream(stream);
  });
  await rawPeer((socket) => void http.emit("connection", socket));
}

/** Answers with a body and a status. */
function answer(
  stream: ServerHttp2Stream,
  body: Buffer,
  status: Record<string, string> = { "grpc-status": "0" },
): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(status));
  stream.end(body);
}

describe("a call", () => {
  test("is answered; the socket is the owner's alone; many at once share a connection", async () => {
    const server = await serveGrpc({ socketPath, handlers: [handler(method, async () => info)] });
    closers.push(() => server.close());
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    const channel = connect();
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(channel)));
    expect(answers).toEqual(Array.from({ length: 100 }, () => ({ ...info, manifest: expect.anything() })));
  });

  test("that is unknown, unreadable or too large fails with a code that says so", async () => {
    const server = await serveGrpc({
      socketPath,
      handlers: [handler(method, async () => info)],
      maxMessageBytes: 64 * 1024,
    });
    closers.push(() => server.close());
    const channel = connect();
    const options = { timeoutMs: 10_000 };
    await expect(channel.call(identity.probe, {}, options)).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    const raw = (bytes: Uint8Array) => ({ ...method, request: { ...method.request, encode: () => bytes } });
    await expect(channel.call(raw(Buffer.from([0xff])), {}, options)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    const large = Buffer.alloc(8 * 1024 * 1024);
    await expect(channel.call(raw(large), {}, options)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await ask(channel);
  });

  test("ends on the server when its caller gives up or stops waiting", async () => {
    let begun = 0;
    let ended = 0;
    let onBegin: () => void = () => {};
    const server = await serveGrpc({
      socketPath,
      handlers: [
        handler(method, async (_request, { signal }) => {
          begun++;
          onBegin();
          if (!signal.aborted) await once(signal, "abort");
          ended++;
          return info;
        }),
      ],
    });
    closers.push(() => server.close());
    const channel = connect();
    const caller = new AbortController();
    onBegin = () => caller.abort(new Error("given up"));
    await expect(ask(channel, 10_000, caller.signal)).rejects.toThrow("given up");
    onBegin = () => {};
    // On a busy machine the time may be over before the server has begun.
    for (let timeoutMs = 50; begun < 2; timeoutMs *= 2) {
      await expect(ask(channel, timeoutMs)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    }
    await expect.poll(() => begun - ended).toBe(0);
  });
});

describe("a hostile peer", () => {
  test("that is not there, or goes at once, is unavailable, and a retry may help", async () => {
    const channel = connect();
    await expect(ask(channel)).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
    await rawPeer((socket) => socket.destroy());
    await expect(ask(channel)).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
  });

  test("that sends garbage is unavailable", async () => {
    await rawPeer((socket) => socket.write(Buffer.alloc(100_000, 0x5a)));
    await expect(ask(connect())).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("that never answers costs the time limit and no more", async () => {
    await rawPeer(() => {});
    await expect(ask(connect(), 100)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED", retryable: true });
  });

  test("that begins an answer and hangs costs the time limit and no more", async () => {
    await http2Peer((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.from([0, 0, 0, 0, 9, 1]));
    });
    await expect(ask(connect(), 100)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  });

  test("that dies in the middle of an answer is unavailable, and the next call connects anew", async () => {
    let calls = 0;
    await http2Peer((stream) => {
      if (calls++ > 0) return answer(stream, frame(method.response.encode(info)));
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.from([0, 0]), () => stream.session?.destroy());
    });
    const channel = connect();
    await expect(ask(channel)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(ask(channel)).resolves.toMatchObject({ name: "driver.example" });
  });

  test.each([
    ["a length that never comes", Buffer.from([0, 0, 0, 0, 9, 1])],
    ["a frame that is cut off", Buffer.from([0, 0])],
    ["two messages", Buffer.concat([frame(new Uint8Array(3)), frame(new Uint8Array(3))])],
    ["a compressed message", Buffer.from([1, 0, 0, 0, 0])],
    ["a message that is none", frame(Buffer.from([0x0a, 0xff, 0x01]))],
    ["a text that is not UTF-8", frame(Buffer.from([0x0a, 1, 0xff]))],
    ["a field of another type", frame(Buffer.from([0x08, 1]))],
  ])("that answers with %s is told from one that failed", async (_what, body) => {
    await http2Peer((stream) => answer(stream, body));
    const failure = { code: "INTERNAL", reason: "VDC_CSI_BAD_ANSWER", retryable: false };
    await expect(ask(connect())).rejects.toMatchObject(failure);
  });

  test("that announces or sends more than is allowed is cut off at once", async () => {
    let sent = 0;
    await http2Peer((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
      const flood = (): void => {
        while (!stream.destroyed && stream.write(Buffer.alloc(65_536))) sent += 65_536;
        stream.once("drain", flood);
      };
      flood();
    });
    await expect(ask(connect(1024))).rejects.toMatchObject({ reason: "VDC_CSI_BAD_ANSWER" });
    expect(sent).toBeLessThan(4 * 1024 * 1024);
  });

  test("that answers in HTTP, or ends without a status, is no gRPC peer", async () => {
    let calls = 0;
    await http2Peer((stream) => {
      if (calls++ === 0) stream.respond({ ":status": 404, "content-type": "text/html" }, { endStream: true });
      else stream.respond({ ":status": 200, "content-type": "application/grpc" }, { endStream: true });
    });
    const channel = connect();
    await expect(ask(channel)).rejects.toMatchObject({ reason: "VDC_CSI_BAD_ANSWER" });
    await expect(ask(channel)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("whose status is long, unknown or unprintable keeps its code, and its text is made safe", async () => {
    const statuses = [
      { "grpc-status": "5", "grpc-message": "gr%C3%BC%C3%9Fe%0A%1b[31m" },
      { "grpc-status": "99", "grpc-message": "%E0%A4%A" },
      { "grpc-status": "8", "grpc-message": "x".repeat(10_000) },
    ];
    await http2Peer((stream) => answer(stream, Buffer.alloc(0), statuses.shift()));
    const channel = connect();
    await expect(ask(channel)).rejects.toMatchObject({ code: "NOT_FOUND", message: "grüße  [31m" });
    await expect(ask(channel)).rejects.toMatchObject({ code: "UNKNOWN", message: "%E0%A4%A" });
    const error = await ask(channel).catch((thrown: Error) => thrown);
    expect((error as Error).message.length).toBeLessThanOrEqual(2_048);
  });
});
