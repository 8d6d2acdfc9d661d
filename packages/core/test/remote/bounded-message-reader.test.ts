import { once } from "node:events";
import { duplexPair } from "node:stream";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { VdcError } from "../../src/error/vdc-error.ts";
import { JsonRpcLink } from "../../src/remote/json-rpc-link.ts";

const frame = (text: string): string => `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
const request = (id: number, method = "echo", params: unknown[] = ["x"]): string =>
  frame(JSON.stringify({ jsonrpc: "2.0", id, method, params }));

function makeVictim(): {
  readonly write: (data: string | Buffer) => void;
  readonly closed: Promise<VdcError>;
  readonly link: JsonRpcLink;
  readonly answers: () => string;
  readonly end: () => void;
  readonly answered: (text: string) => Promise<void>;
} {
  const [near, far] = duplexPair();
  const link = new JsonRpcLink(near, { maxMessageBytes: 1000 });
  link.handle("echo", ([value]) => value);
  let answers = "";
  far.on("data", (data: Buffer) => {
    answers += data.toString();
    far.emit("answered");
  });
  far.on("error", () => {});
  return {
    write: (data) => far.write(data),
    closed: link.closed,
    link,
    answers: () => answers,
    end: () => void far.end(),
    answered: async (text) => {
      while (!answers.includes(text)) await once(far, "answered");
    },
  };
}

describe("what a hostile peer sends", () => {
  it.each([
    ["a length above the limit", "Content-Length: 1001\r\n\r\n"],
    ["an absurd length", "Content-Length: 99999999999999999999\r\n\r\n"],
    ["a negative length", "Content-Length: -5\r\n\r\n{}"],
    ["two lengths", "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"],
    ["no length", "Content-Type: x\r\n\r\n{}"],
    ["an endless header", "A".repeat(1000)],
    ["no JSON", frame("{")],
    ["a batch", frame("[]")],
    ["a number", frame("7")],
    ["another JSON-RPC", frame('{"id":1,"method":"echo"}')],
    ["an id that is an object", frame('{"jsonrpc":"2.0","id":{},"method":"echo"}')],
    ["params that are text", frame('{"jsonrpc":"2.0","id":1,"method":"echo","params":"x"}')],
    ["a cancellation of nothing", frame('{"jsonrpc":"2.0","method":"$/cancelRequest"}')],
    ["a response without a result", frame('{"jsonrpc":"2.0","id":1}')],
    ["an error that is text", frame('{"jsonrpc":"2.0","id":1,"error":"x"}')],
    ["one id twice", request(1) + request(1)],
  ])("closes the connection for %s", async (_, bytes) => {
    const victim = makeVictim();
    victim.write(bytes);
    expect(await victim.closed).toMatchObject({ code: "UNAVAILABLE", reason: "VDC_PROTOCOL_VIOLATION" });
  });

  it("ignores what merely has no meaning here", async () => {
    const victim = makeVictim();
    victim.write(frame('{"jsonrpc":"2.0","id":77,"result":1}'));
    victim.write(frame('{"jsonrpc":"2.0","method":"nobody","params":[1]}'));
    victim.write(frame('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":99}}'));
    victim.write(request(1, "nobody"));
    victim.write(request(2));
    await victim.answered('"result":"x"');
    expect(victim.answers()).toContain("-32601");
    victim.end();
    await victim.closed;
  });

  it("reads messages however they are cut, and thousands at once", async () => {
    const [near, far] = duplexPair();
    const server = new JsonRpcLink(near);
    let served = 0;
    const all = Promise.withResolvers<void>();
    server.onNotify("n", () => {
      if (++served === 3000) all.resolve();
    });
    const text = Array.from({ length: 3000 }, (_, index) =>
      frame(JSON.stringify({ jsonrpc: "2.0", method: "n", params: [index, "\u00e9"] })),
    ).join("");
    const bytes = Buffer.from(text);
    let at = 0;
    let step = 1;
    while (at < bytes.length) {
      far.write(bytes.subarray(at, at + step));
      at += step;
      step = (step * 7) % 4099;
    }
    await all.promise;
    await server.close();
    far.destroy();
  });

  it("survives any bytes", async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(frame(text))),
      fc
        .record(
          {
            id: fc.anything(),
            method: fc.anything(),
            params: fc.anything(),
            result: fc.anything(),
            error: fc.anything(),
          },
          { requiredKeys: [] },
        )
        .map((message) => {
          try {
            return Buffer.from(frame(JSON.stringify({ jsonrpc: "2.0", ...message })));
          } catch {
            return Buffer.alloc(0);
          }
        }),
      fc.constantFrom(Buffer.from(request(1)), Buffer.from("Content-Length: 10\r\n\r\n"), randomBytes(0)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        const victim = makeVictim();
        for (const bytes of pieces) victim.write(bytes);
        victim.end();
        expect((await victim.closed).code).toBe("UNAVAILABLE");
      }),
      { seed: 20_260, numRuns: process.env.VDC_DEEP ? 5000 : 300 },
    );
  });

  it("gives up a peer that does not read its answers", async () => {
    const [near, far] = duplexPair();
    const link = new JsonRpcLink(near, { maxBufferedBytes: 100_000 });
    link.handle("big", () => "y".repeat(50_000));
    for (let id = 0; id < 20; id++) far.write(request(id, "big"));
    expect(await link.closed).toMatchObject({ reason: "VDC_PEER_DOES_NOT_READ" });
    far.destroy();
  });
});
