import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { addFlow, connectOpenFlow, type OpenFlowClient, type PacketIn, type PortStatus } from "../src/index.ts";
import { messageType as types } from "../src/wire/message.ts";
import { FakeSwitch } from "./fake-switch.ts";
import { flowStats, message, multipart, packetIn, portDescription, refusal } from "./switch-words.ts";
import { runs } from "./runs.ts";

const anyFlow = { table: 1, priority: 1, match: [] } as const;

let fake: FakeSwitch;
beforeEach(() => {
  fake = new FakeSwitch();
});

describe("a hello", () => {
  test("lists our version alone", async () => {
    await using client = await fake.connect();
    expect(client.isOpen).toBe(true);
    expect(fake.received[0]).toMatchObject({ type: types.hello, version: 4 });
    expect(fake.received[0]?.body.toString("hex")).toBe("0001000800000010");
  });

  test("of another version ends the connection", async () => {
    fake.handler = ({ xid }) => [message(types.hello, xid, Buffer.from("0001000800000002", "hex"))];
    await expect(fake.connect()).rejects.toMatchObject({ code: "OPENFLOW_PROTOCOL" });
  });

  test("that is refused ends the connection by the name of the error", async () => {
    fake.handler = ({ xid }) => [refusal(xid, 0, 0)];
    await expect(fake.connect()).rejects.toThrow("OFPHFC_INCOMPATIBLE");
  });

  test("that does not come is a timeout", async () => {
    fake.handler = () => [Buffer.alloc(0)];
    await expect(fake.connect({ timeoutMs: 20 })).rejects.toMatchObject({
      code: "OPENFLOW_TIMEOUT",
      message: "'fake' gave no hello within 20 ms",
    });
  });

  test("can be given up", async () => {
    fake.handler = () => [Buffer.alloc(0)];
    const given = new AbortController();
    const connecting = fake.connect({ signal: given.signal });
    given.abort(new Error("enough"));
    await expect(connecting).rejects.toMatchObject({ code: "OPENFLOW_ABORTED", cause: { message: "enough" } });
  });

  test("is not waited for where the switch hangs up", async () => {
    fake.handler = () => {
      fake.stream.destroy();
      return [];
    };
    await expect(fake.connect()).rejects.toMatchObject({ code: "OPENFLOW_CLOSED" });
  });
});

describe("a call", () => {
  test("gets an answer that comes in several messages", async () => {
    fake.handler = ({ type, xid }) =>
      type === types.multipartRequest
        ? [
            multipart(1, { xid, body: flowStats(1, 1n), more: true }),
            multipart(1, { xid, body: Buffer.concat([flowStats(2, 2n), flowStats(3, 3n)]) }),
          ]
        : [];
    await using client = await fake.connect();
    expect((await client.flows()).map(({ table }) => table)).toEqual([1, 2, 3]);
  });

  test("asks what flows have together, of those that are meant", async () => {
    const sum = Buffer.alloc(24);
    sum.writeBigUInt64BE(7n, 0);
    sum.writeBigUInt64BE(420n, 8);
    sum.writeUInt32BE(3, 16);
    fake.handler = ({ type, xid }) => (type === types.multipartRequest ? [multipart(2, { xid, body: sum })] : []);
    await using client = await fake.connect();
    expect(await client.aggregate({ cookie: 0xabcdn })).toEqual({ frames: 7n, octets: 420n, flows: 3 });
    const { body } = fake.of(types.multipartRequest)[0] ?? { body: Buffer.alloc(0) };
    expect([body.readBigUInt64BE(24), body.readBigUInt64BE(32)]).toEqual([0xabcdn, 0xffff_ffff_ffff_ffffn]);
  });

  test("that is refused says so by the name of the error, and others go on", async () => {
    fake.handler = ({ type, xid }) => {
      if (type === types.featuresRequest) return [refusal(xid, 1, 5)];
      return type === types.multipartRequest ? [multipart(13, { xid, body: portDescription(1, "p1") })] : [];
    };
    await using client = await fake.connect();
    await expect(client.features()).rejects.toMatchObject({
      code: "OPENFLOW_REFUSED",
      details: { type: 1, code: 5, name: "OFPBRC_EPERM" },
    });
    expect(await client.ports()).toMatchObject([{ number: 1, name: "p1" }]);
  });

  test("that gets no answer is a timeout, and can be given up; the connection goes on", async () => {
    await using client = await fake.connect();
    await expect(client.flows({}, { timeoutMs: 20 })).rejects.toMatchObject({ code: "OPENFLOW_TIMEOUT" });
    const signal = AbortSignal.abort();
    await expect(client.flows({}, { signal })).rejects.toMatchObject({ code: "OPENFLOW_ABORTED" });
    expect(client.isOpen).toBe(true);
  });

  test("fails when the connection ends, and so do later ones", async () => {
    const client = await fake.connect();
    const calls = [client.flows(), client.modify([addFlow(anyFlow)]), client.commit([addFlow(anyFlow)])];
    fake.stream.end();
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "OPENFLOW_CLOSED" });
    expect((await client.closed).message).toContain("hung up");
    await expect(client.ports()).rejects.toMatchObject({ code: "OPENFLOW_CLOSED" });
    expect(() => client.sendFrame(1, Buffer.alloc(60))).toThrow(expect.objectContaining({ code: "OPENFLOW_CLOSED" }));
  });

  test("that is answered with something else ends the connection", async () => {
    fake.handler = ({ type, xid }) => (type === types.featuresRequest ? [message(types.barrierReply, xid)] : []);
    const client = await fake.connect();
    await expect(client.features()).rejects.toMatchObject({ code: "OPENFLOW_PROTOCOL" });
    expect(client.isOpen).toBe(false);
  });
});

describe("a batch", () => {
  /** Refuses what it is given a second time. */
  const refuseSecond = (type: number): void => {
    fake.handler = (received) => {
      const isSecond = received.type === type && fake.of(type).length === 2;
      return isSecond ? [refusal(received.xid, 5, 1)] : [];
    };
  };

  test("tells which of its messages were refused, and leaves the caller's alone", async () => {
    refuseSecond(types.flowMod);
    await using client = await fake.connect();
    const messages = [addFlow(anyFlow), addFlow(anyFlow), addFlow(anyFlow)];
    const before = messages.map((each) => each.toString("hex"));
    expect(await client.modify(messages)).toMatchObject([{ index: 1, refusal: { name: "OFPFMFC_TABLE_FULL" } }]);
    expect(messages.map((each) => each.toString("hex"))).toEqual(before);
    expect(new Set(fake.of(types.flowMod).map(({ xid }) => xid)).size).toBe(3);
  });

  test("of which one can't join its bundle is dropped whole", async () => {
    const steps: number[] = [];
    fake.handler = ({ type, xid, body }) => {
      if (type !== types.experimenter) return [];
      if (body.readUInt32BE(4) === 2301) return body.readUInt32BE(20) === xid ? [refusal(xid, 5, 1)] : [];
      const step = body.readUInt16BE(12);
      steps.push(step);
      const reply = Buffer.from(body);
      reply.writeUInt16BE(step + 1, 12);
      return [message(types.experimenter, xid, reply)];
    };
    await using client = await fake.connect();
    expect(await client.commit([addFlow(anyFlow)])).toMatchObject([{ index: 0 }]);
    // Opened, and discarded.
    expect(steps).toEqual([0, 6]);
  });
});

describe("what a switch tells unasked", () => {
  test("is asked for by those who listen, and told", async () => {
    const packets: PacketIn[] = [];
    const changes: PortStatus[] = [];
    await using client = await fake.connect({
      onPacket: (packet) => packets.push(packet),
      onPortStatus: (status) => changes.push(status),
    });
    const masks = fake.of(types.setAsync).map(({ body }) => body.toString("hex"));
    expect(masks).toEqual([`${"00000007"}${"00000000"}${"00000007"}${"00000007"}${"0".repeat(16)}`]);
    const status = Buffer.concat([Buffer.alloc(8), portDescription(3, "p3")]);
    fake.say(message(types.packetIn, 0, packetIn(Buffer.alloc(60))), message(types.portStatus, 0, status));
    await expect.poll(() => [packets.length, changes]).toMatchObject([1, [{ reason: "added", port: { number: 3 } }]]);
    expect(client.isOpen).toBe(true);
  });

  test("is not asked for where nobody listens, and is nobody's business", async () => {
    await using client = await fake.connect();
    expect(fake.of(types.setConfig)).toEqual([]);
    fake.say(message(types.packetIn, 0, Buffer.alloc(3)), message(11, 0, Buffer.alloc(3)), refusal(999, 1, 1));
    fake.handler = ({ type, xid }) => (type === types.featuresRequest ? [message(6, xid, Buffer.alloc(24))] : []);
    expect(await client.features()).toEqual({ datapathId: "0".repeat(16), tables: 0 });
  });
});

describe("a switch that does not play by the rules", () => {
  test("may ask for echoes, and gets them", async () => {
    await using client = await fake.connect();
    fake.say(message(types.echoRequest, 77, Buffer.from("who is there")));
    await expect
      .poll(() => fake.of(types.echoReply).map(({ xid, body }) => [xid, String(body)]))
      .toEqual([[77, "who is there"]]);
    expect(client.isOpen).toBe(true);
  });

  test("may not leave echoes unread for ever", async () => {
    const client = await fake.connect();
    fake.stream.pause();
    const echo = message(types.echoRequest, 1, Buffer.alloc(60_000));
    for (let sent = 0; sent < 40 && client.isOpen; sent += 1) {
      fake.say(echo);
      await setImmediate();
    }
    expect((await client.closed).message).toContain("reads none of them");
  });

  test("may not make an answer longer than is allowed", async () => {
    const part = Buffer.concat(Array.from({ length: 100 }, () => flowStats(1, 1n)));
    fake.handler = ({ type, xid }) =>
      type === types.multipartRequest
        ? Array.from({ length: 20 }, () => multipart(1, { xid, body: part, more: true }))
        : [];
    const client = await fake.connect({ maxAnswerBytes: 50_000 });
    await expect(client.flows()).rejects.toThrow("longer than 50000 octets");
    expect((await client.closed).code).toBe("OPENFLOW_PROTOCOL");
  });

  test("may not leave unread what it is sent for ever", async () => {
    await using client = await fake.connect({ maxQueuedBytes: 100_000 });
    fake.stream.pause();
    const busy = expect.objectContaining({ code: "OPENFLOW_BUSY", retryable: true });
    expect(() => {
      for (let sent = 0; sent < 100; sent += 1) client.sendFrame(1, Buffer.alloc(9_000));
    }).toThrow(busy);
  });

  test("that is silent is asked, and left", async () => {
    const client = await fake.connect({ probeIntervalMs: 10, timeoutMs: 30 });
    expect((await client.closed).message).toContain("silent");
    expect(fake.of(types.echoRequest).length).toBeGreaterThan(0);
  });

  test("that answers when it is asked is not left", async () => {
    fake.handler = ({ type, xid }) => (type === types.echoRequest ? [message(types.echoReply, xid)] : []);
    await using client = await fake.connect({ probeIntervalMs: 5, timeoutMs: 5_000 });
    await expect.poll(() => fake.of(types.echoRequest).length).toBeGreaterThan(3);
    expect(client.isOpen).toBe(true);
  });

  test("lets every call come to an end, whatever it sends", async () => {
    const good = multipart(1, { xid: 0, body: flowStats(1, 1n) });
    const junk = fc.record({
      octets: fc.uint8Array({ maxLength: 200 }),
      isChanged: fc.boolean(),
      at: fc.nat(good.length - 1),
    });
    await fc.assert(
      fc.asyncProperty(junk, async ({ octets, isChanged, at }) => {
        const peer = new FakeSwitch();
        const client: OpenFlowClient = await peer.connect();
        peer.handler = ({ type, xid }) => {
          if (type !== types.multipartRequest) return [];
          const answer = Buffer.from(good);
          answer.writeUInt32BE(xid, 4);
          answer[at] = octets[0] ?? 0;
          process.nextTick(() => peer.stream.end());
          return [isChanged ? answer : Buffer.from(octets)];
        };
        const results = await Promise.allSettled([client.flows(), client.modify([addFlow(anyFlow)])]);
        for (const result of results) {
          if (result.status === "rejected") expect(result.reason.code).toMatch(/^OPENFLOW_(PROTOCOL|CLOSED|REFUSED)$/);
        }
        await client.closed;
      }),
      { ...runs, numRuns: runs.numRuns / 10 },
    );
  });
});

describe("a remote", () => {
  test("that nobody listens at is no connection", async () => {
    const remote = `unix:${join(tmpdir(), "vdc-openflow-nobody.mgmt")}`;
    await expect(connectOpenFlow({ remote })).rejects.toMatchObject({
      code: "OPENFLOW_CONNECT_FAILED",
      retryable: true,
    });
  });

  test.each(["", "unix:", "tcp:", "tcp:host:0", "udp:host:1", "tcp:::1:6653"])("'%s' is none", async (remote) => {
    await expect(connectOpenFlow({ remote })).rejects.toMatchObject({ code: "OPENFLOW_INVALID_ARGUMENT" });
  });

  test("that takes connections and says nothing is a timeout", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vdc-openflow-"));
    const path = join(folder, "b0.mgmt");
    const server = createServer((socket) => socket.on("error", () => undefined).resume());
    await new Promise<void>((resolve) => void server.listen(path, resolve));
    try {
      const connecting = connectOpenFlow({ remote: `unix:${path}`, timeoutMs: 50 });
      await expect(connecting).rejects.toThrow("gave no hello within 50 ms");
    } finally {
      await new Promise((resolve) => void server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    }
  });
});
