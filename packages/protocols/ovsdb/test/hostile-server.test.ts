import { connectOvsdb, type OvsdbClientOptions, type OvsdbError, type OvsdbErrorCode } from "@vdc-os/ovsdb";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeServer } from "./fake-server.ts";
import { RandomDatabase, type RandomTables } from "./random-database.ts";

const ID = "6d53a6dd-2da7-4924-9927-97f613812382";
const OTHER = "52cbc842-137a-4db5-804f-9f34106a0ba3";
const TRANSACTION = "11111111-2222-4333-8444-555555555555";

let server: FakeServer;
beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

function connect(options: Partial<OvsdbClientOptions<RandomTables>> = {}) {
  return connectOvsdb({
    remotes: server.remote,
    model: RandomDatabase,
    backOff: { minMs: 1, maxMs: 5 },
    timeoutMs: 20_000,
    ...options,
  });
}

function disconnection(client: Awaited<ReturnType<typeof connect>>): Promise<OvsdbError> {
  return new Promise((resolve) => {
    const stop = client.on("disconnected", (reason) => {
      stop();
      resolve(reason);
    });
  });
}

/** Answers `monitor_cond_since` with these updates. */
function content(updates: unknown) {
  return ({ method }: { readonly method: string }) =>
    method === "monitor_cond_since" ? [false, TRANSACTION, updates] : {};
}

const counterRow = { Counter: { [ID]: { initial: { count: 7 } } } };

describe("a monitor's content that can't be", () => {
  test.each<[string, unknown, OvsdbErrorCode]>([
    ["no object", [], "OVSDB_PROTOCOL"],
    ["null", null, "OVSDB_PROTOCOL"],
    ["a table that was not asked for", { Thing: {} }, "OVSDB_PROTOCOL"],
    ["a table that is in no schema", { Nope: {} }, "OVSDB_PROTOCOL"],
    ["a column that was not asked for", { Counter: { [ID]: { initial: { other: 1 } } } }, "OVSDB_PROTOCOL"],
    ["a value of another type", { Counter: { [ID]: { initial: { count: "7" } } } }, "OVSDB_PROTOCOL"],
    ["a set for a scalar", { Counter: { [ID]: { initial: { count: ["set", [1, 2]] } } } }, "OVSDB_PROTOCOL"],
    ["half a number", { Counter: { [ID]: { initial: { count: 0.5 } } } }, "OVSDB_PROTOCOL"],
    ["a row whose id is none", { Counter: { nope: { initial: {} } } }, "OVSDB_PROTOCOL"],
    ["a modification of nothing", { Counter: { [ID]: { modify: { count: 1 } } } }, "OVSDB_PROTOCOL"],
    ["a text that is longer than allowed", { Counter: "x".repeat(20_000) }, "OVSDB_MESSAGE_TOO_LARGE"],
    ["too deep", { Counter: JSON.parse(`${"[".repeat(60)}${"]".repeat(60)}`) }, "OVSDB_MESSAGE_TOO_LARGE"],
  ])("%s", async (_, updates, code) => {
    server.handler = content(updates);
    await using client = await connect({ maxMessageBytes: 15_000, maxDepth: 40 });
    await expect(client.monitor({ Counter: ["count"] }, { timeoutMs: 20_000 })).rejects.toMatchObject({ code });
    // The client has another connection, and a monitor that the server answers rightly is told rightly.
    server.handler = content(counterRow);
    const monitor = await client.monitor({ Counter: ["count"] });
    expect(monitor.tables.Counter.only()?.count).toBe(7);
  });

  test.each(["nope", [true], ["yes", TRANSACTION, {}], [true, "nope", {}]])("a reply that is %j", async (reply) => {
    server.handler = () => reply;
    await using client = await connect();
    await expect(client.monitor({ Counter: true })).rejects.toMatchObject({ code: "OVSDB_PROTOCOL" });
  });
});

describe("an update that can't be drops the connection, and the tables are fetched from scratch", () => {
  test.each<[string, readonly unknown[]]>([
    ["a modification of a row that is not there", [{ Counter: { [OTHER]: { modify: { count: 1 } } } }]],
    ["a deletion of one", [{ Counter: { [OTHER]: { delete: null } } }]],
    ["an unknown kind", [{ Counter: { [ID]: { explode: {} } } }]],
    ["a table of another monitor", [{ Thing: { [ID]: { insert: {} } } }]],
    ["nothing", []],
    ["half of it good", [{ Counter: { [ID]: { modify: { count: 9 } }, [OTHER]: { modify: { count: 1 } } } }]],
  ])("%s", async (_, updates) => {
    server.handler = content(counterRow);
    await using client = await connect();
    const monitor = await client.monitor({ Counter: true });
    const counts: number[] = [];
    monitor.on("changes", (changes) => {
      for (const change of changes) if (change.kind !== "deleted") counts.push(change.row.count);
    });
    server.handler = content({ Counter: { [ID]: { initial: { count: 8 } } } });
    const lost = disconnection(client);
    server.notify("update3", "monitor1", TRANSACTION, ...updates);
    expect(await lost).toMatchObject({ code: "OVSDB_PROTOCOL" });
    await monitor.waitFor(({ Counter }) => Counter.only()?.count === 8);
    expect(counts).toEqual([8]);
    const resumed = server.requests.filter(({ method }) => method === "monitor_cond_since").at(-1);
    expect(resumed?.params[3]).toBe("00000000-0000-0000-0000-000000000000");
  });

  test("updates for nobody are nobody's business", async () => {
    server.handler = content(counterRow);
    await using client = await connect();
    const monitor = await client.monitor({ Counter: true });
    server.notify("update3", "monitor99", TRANSACTION, { Counter: {} });
    server.notify("update3", { odd: true }, TRANSACTION, 7);
    server.notify("no_such_thing", 1, 2, 3);
    server.notify("update3", "monitor1", TRANSACTION, { Counter: { [ID]: { modify: { count: 9 } } } });
    await monitor.waitFor(({ Counter }) => Counter.only()?.count === 9);
    expect(server.connections).toBe(1);
  });
});

describe("an answer to a transaction that can't be", () => {
  test.each<[string, unknown, object]>([
    ["no array", {}, { code: "OVSDB_PROTOCOL" }],
    ["too few results", [], { code: "OVSDB_PROTOCOL" }],
    ["too many", [{}, {}, {}, {}], { code: "OVSDB_PROTOCOL" }],
    ["null where nothing failed", [{}, null], { code: "OVSDB_PROTOCOL" }],
    ["a number for a result", [{}, 7], { code: "OVSDB_PROTOCOL" }],
    ["an error and nulls", [{ error: "timed out" }, null], { code: "OVSDB_OPERATION_FAILED", details: { index: 0 } }],
    [
      "an error of the commit",
      [{}, {}, { error: "constraint violation", details: "why" }],
      { details: { index: 2, operation: "commit", error: "constraint violation", explanation: "why" } },
    ],
  ])("%s", async (_, reply, error) => {
    server.handler = () => reply;
    await using client = await connect();
    const transaction = client.transaction();
    transaction.comment("one");
    transaction.select("Thing", []);
    await expect(client.transact(transaction)).rejects.toMatchObject(error);
  });

  test("rows and ids that are none", async () => {
    server.handler = () => [
      { rows: [{ _uuid: ["uuid", ID], number: "x" }] },
      { uuid: ["uuid", "nope"] },
      { count: "1" },
    ];
    await using client = await connect();
    const transaction = client.transaction();
    const select = transaction.select("Thing", []);
    const insert = transaction.insert("Thing", {});
    const update = transaction.update("Thing", [], { number: 1 });
    const result = await client.transact(transaction);
    for (const read of [() => result.rows(select), () => result.uuid(insert), () => result.count(update)]) {
      expect(read).toThrow(expect.objectContaining({ code: "OVSDB_PROTOCOL" }));
    }
  });
});

describe("a peer that is no peer", () => {
  test.each([
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "[1,2]",
    '{"a":1}',
    '{"id":null,"error":"no","result":null}',
    "\0",
    "{}}",
  ])("says %j", async (text) => {
    await using client = await connect();
    const lost = disconnection(client);
    server.write(text);
    expect(await lost).toMatchObject({ code: "OVSDB_PROTOCOL" });
    await client.connected();
  });

  test("a message that never ends, a byte now and then", async () => {
    await using client = await connect({ messageTimeoutMs: 60, probeIntervalMs: 1_000 });
    const lost = disconnection(client);
    server.write('{"result":["');
    const timer = setInterval(() => server.write("x"), 5);
    try {
      expect(await lost).toMatchObject({
        code: "OVSDB_CLOSED",
        message: expect.stringContaining("a message did not end within 60 ms"),
      });
    } finally {
      clearInterval(timer);
    }
  });

  test("a message that never ends, as fast as it can: no more memory than the limit", async () => {
    const limit = 8 * 1024 * 1024;
    await using client = await connect({ maxMessageBytes: limit });
    const lost = disconnection(client);
    const before = process.memoryUsage().arrayBuffers;
    const chunk = Buffer.alloc(256 * 1024, "x");
    server.write('{"result":["');
    let most = 0;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }, 1);
    for (let sent = 0; sent < 12 * limit; sent += chunk.length) server.write(chunk);
    expect(await lost).toMatchObject({ code: "OVSDB_MESSAGE_TOO_LARGE" });
    clearInterval(timer);
    // Twice while it grows, and the buffers that were read into and are not yet collected: no matter how much is sent.
    expect(most).toBeLessThan(6 * limit);
  });

  test("silence: asked by an echo, then left", async () => {
    server.handler = ({ method }) => (method === "echo" ? undefined : {});
    await using client = await connect({ probeIntervalMs: 30 });
    expect(await disconnection(client)).toMatchObject({
      code: "OVSDB_CLOSED",
      message: expect.stringContaining("no answer to an echo within 30 ms"),
    });
    expect(server.requests.some(({ method }) => method === "echo")).toBe(true);
  });

  test("who answers the echo is kept", async () => {
    let echoes = 0;
    const third = new Promise<void>((resolve) => {
      server.handler = ({ method, params }) => {
        if (method === "echo" && ++echoes === 3) resolve();
        return params;
      };
    });
    await using client = await connect({ probeIntervalMs: 20 });
    await third;
    expect(client.isConnected).toBe(true);
    expect(server.connections).toBe(1);
  });

  test("its echo is answered, and a request that no client knows is refused", async () => {
    await using client = await connect();
    server.write('{"method":"echo","params":[1,{"a":[]}],"id":"x"}{"method":"steal_all","params":[],"id":7}');
    await client.request("list_dbs", []);
    const replies = server.requests.filter(({ method }) => method === "").map(({ params }) => params[0]);
    expect(replies).toEqual([
      { id: "x", result: [1, { a: [] }], error: null },
      { id: 7, result: null, error: { error: "unknown method" } },
    ]);
  });

  test("echoes without end, by one who doesn't read: no more waits to be sent than the limit", async () => {
    await using client = await connect({ maxQueuedBytes: 256 * 1024 });
    const lost = disconnection(client);
    const echo = JSON.stringify({ method: "echo", params: ["x".repeat(64 * 1024)], id: 1 });
    let reading = true;
    server.handler = ({ socket }) => {
      if (reading) socket.pause();
      reading = false;
      return undefined;
    };
    client.request("pause", []).catch(() => {});
    for (let count = 0; count < 64; count += 1) server.write(echo);
    expect(await lost).toMatchObject({ code: "OVSDB_BUSY" });
  });
});
