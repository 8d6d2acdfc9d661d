import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectOvsdb, type OvsdbClient } from "@vdc-os/ovsdb";
import { type OvsdbServer, startOvsdbCluster, startOvsdbServer } from "@vdc-os/ovsdb/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CuttableProxy } from "./cuttable-proxy.ts";
import { daemonsPresent } from "./daemons-present.ts";
import { FakeServer } from "./fake-server.ts";
import { RandomDatabase, type RandomTables, writeRandomSchema } from "./random-database.ts";

const present = daemonsPresent("ovsdb");
const backOff = { minMs: 2, maxMs: 20 };
let folder: string;
let schema: string;
let clustered: OvsdbServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ovsdb-reconnect-"));
  schema = await writeRandomSchema(folder);
  if (present) clustered = await startOvsdbServer({ source: { schema }, clustered: true });
});

afterAll(async () => {
  await clustered?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function connect(remotes: string): Promise<OvsdbClient<RandomTables>> {
  return connectOvsdb({ remotes, model: RandomDatabase, backOff });
}

async function addThings(client: OvsdbClient<RandomTables>, names: readonly string[]): Promise<void> {
  await client.transact((transaction) => {
    for (const name of names) transaction.insert("Thing", { name, number: name.length, labels: { name } });
  });
}

/** Resolves when the client is connected again after this moment. */
function again(client: OvsdbClient<RandomTables>): Promise<void> {
  return new Promise((resolve) => {
    const stop = client.on("connected", () => {
      stop();
      resolve();
    });
  });
}

describe.skipIf(!present)("a connection that breaks", () => {
  test("every monitor of a clustered database is resumed from where it was: only what changed is sent", async () => {
    await using proxy = await CuttableProxy.start(clustered.socketPath);
    await using client = await connect(proxy.remote);
    await using other = await connect(clustered.remote);
    // The server remembers no more changes than it has content, and by whole transactions.
    for (let from = 0; from < 500; from += 50) {
      await addThings(
        other,
        Array.from({ length: 50 }, (_, index) => `resume${from + index}`),
      );
    }
    const whole = await client.monitor({ Thing: true });
    const part = await client.monitor({ Thing: { columns: ["number"], where: [["number", "==", 8]] } });
    const before = { whole: whole.tables.Thing.rows(), part: part.tables.Thing.rows() };
    expect(before.whole.length).toBeGreaterThanOrEqual(500);
    const told: string[] = [];
    whole.on("changes", (changes) => {
      told.push(...changes.map(({ kind }) => `whole ${kind}`));
    });
    part.on("changes", (changes) => {
      told.push(...changes.map(({ kind }) => `part ${kind}`));
    });
    const connected = again(client);
    proxy.received = "";
    proxy.open = false;
    proxy.cut();
    await other.transact((transaction) => {
      transaction.delete("Thing", { name: "resume7" });
      transaction.update("Thing", { name: "resume10" }, { number: 99 });
      transaction.insert("Thing", { name: "resumed", number: 8 });
    });
    proxy.open = true;
    await connected;
    expect(told.sort()).toEqual(["part added", "part deleted", "whole added", "whole deleted", "whole updated"]);
    // A schema and a few rows, not five hundred.
    expect(proxy.received.length).toBeLessThan(8_000);
    expect(proxy.received.match(/"result":\[true,/g)).toHaveLength(2);
    // Rows that didn't change are the same objects.
    const unchanged = whole.tables.Thing.filter((row) => before.whole.includes(row));
    expect(unchanged.length).toBe(before.whole.length - 2);
    await client.transact((transaction) => transaction.delete("Thing", []));
  });

  test("conditions that were not confirmed when it broke hold afterwards", async () => {
    await using proxy = await CuttableProxy.start(clustered.socketPath);
    await using client = await connect(proxy.remote);
    await addThings(client, ["a", "bb", "ccc"]);
    const monitor = await client.monitor({ Thing: { columns: ["name"], where: [["name", "==", "a"]] } });
    // The server has changed them, and its word about that gets lost.
    proxy.pass = () => false;
    const changed = monitor.setConditions({
      Thing: [
        ["name", "==", "bb"],
        ["name", "==", "ccc"],
      ],
    });
    await expect.poll(() => proxy.received.includes("ccc")).toBe(true);
    proxy.pass = () => true;
    proxy.cut();
    await changed;
    expect(
      monitor.tables.Thing.rows()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["bb", "ccc"]);
    // Without a connection they are kept for the next one.
    const lost = new Promise<void>((resolve) => monitor.on("stale", () => resolve()));
    proxy.cut();
    await lost;
    expect(monitor.isCurrent).toBe(false);
    expect(monitor.tables.Thing.size).toBe(2);
    await monitor.setConditions({ Thing: true });
    expect(monitor.tables.Thing.size).toBe(3);
    await client.transact((transaction) => transaction.delete("Thing", []));
  });

  test("a lock is lost with it, and asked for again", async () => {
    await using proxy = await CuttableProxy.start(clustered.socketPath);
    await using client = await connect(proxy.remote);
    const lock = await client.lock("only");
    await lock.acquired();
    const lost = new Promise<void>((resolve) => lock.on("lost", resolve));
    proxy.cut();
    await lost;
    expect(lock.isHeld).toBe(false);
    await lock.acquired();
    await client.transact((transaction) => transaction.assert("only"));
  });

  test("what waits when the client is closed fails, and nothing waits for ever", async () => {
    const client = await connect(clustered.remote);
    const monitor = await client.monitor({ Counter: true });
    const waiting = monitor.waitFor(() => false);
    const writing = client.transact((transaction) => {
      transaction.wait("Thing", [], { columns: ["name"], rows: [{ name: "never" }], until: "==" });
    });
    const lock = await client.lock("left");
    const outcomes = Promise.allSettled([waiting, writing, lock.acquired().then(() => lock.acquired())]);
    await lock.acquired();
    await client.close();
    const [waited, written] = await outcomes;
    for (const outcome of [waited, written]) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "OVSDB_CLOSED" } });
    }
    await expect(client.listDatabases()).rejects.toMatchObject({ code: "OVSDB_CLOSED", retryable: false });
    await expect(lock.acquired()).rejects.toMatchObject({ code: "OVSDB_CLOSED" });
    await client.close();
  });
});

describe.skipIf(!present)("a cluster of three", () => {
  test("only the leader is used, and left when it hands over", async () => {
    // Members that share a processor with others may be silent for a while, and lead on.
    await using cluster = await startOvsdbCluster({ source: { schema }, members: 3, electionTimerMs: 2_000 });
    await using client = await connectOvsdb({
      remotes: cluster.remote,
      model: RandomDatabase,
      backOff,
      probeIntervalMs: 1_000,
      connectTimeoutMs: 2_000,
    });
    const leader = await cluster.leader();
    expect(client.remote).toBe(leader.remote);
    const follower = cluster.members.find((member) => member !== leader);
    await expect(
      connectOvsdb({ remotes: follower!.remote, model: RandomDatabase, backOff, timeoutMs: 2_000 }),
    ).rejects.toMatchObject({
      code: "OVSDB_CONNECT_FAILED",
      message: expect.stringContaining("is not the leader of database 'Random'"),
    });
    await using reader = await connectOvsdb({ remotes: follower!.remote, model: RandomDatabase, leaderOnly: false });
    const monitors = await Promise.all([client.monitor({ Thing: ["name"] }), reader.monitor({ Thing: ["name"] })]);
    await addThings(client, ["one"]);
    // Paused, it answers nobody: the others elect another, and the client's echo finds nobody.
    leader.daemon.pause();
    try {
      await expect.poll(() => client.isConnected && client.remote !== leader.remote, { timeout: 60_000 }).toBe(true);
    } finally {
      leader.daemon.resume();
    }
    await addThings(client, ["two"]);
    for (const monitor of monitors) await monitor.waitFor(({ Thing }) => Thing.size === 2, { timeoutMs: 60_000 });
  });
});

describe("the outcome of a transaction", () => {
  test("is unknown when the connection breaks after it was sent, and it is not sent again", async () => {
    await using server = await FakeServer.start();
    server.handler = ({ method, socket }) => {
      if (method !== "transact") return {};
      socket.destroy();
      return undefined;
    };
    await using client = await connect(server.remote);
    const writing = client.transact((transaction) => transaction.delete("Thing", []));
    await expect(writing).rejects.toMatchObject({ code: "OVSDB_OUTCOME_UNKNOWN", retryable: false });
    const reading = client.transact((transaction) => transaction.select("Thing", []));
    await expect(reading).rejects.toMatchObject({ code: "OVSDB_CLOSED", retryable: true });
    await client.request("list_dbs", []);
    expect(server.requests.filter(({ method }) => method === "transact")).toHaveLength(2);
  });

  test("a signal or a deadline cancels it at the server", async () => {
    await using server = await FakeServer.start();
    server.handler = ({ method }) => (method === "transact" ? undefined : {});
    await using client = await connect(server.remote);
    const fill = (transaction: ReturnType<typeof client.transaction>) => void transaction.delete("Thing", []);
    const aborter = new AbortController();
    const aborted = expect(client.transact(fill, { signal: aborter.signal })).rejects.toMatchObject({
      code: "OVSDB_ABORTED",
    });
    const late = expect(client.transact(fill, { timeoutMs: 30 })).rejects.toMatchObject({ code: "OVSDB_TIMEOUT" });
    await expect.poll(() => server.requests.filter(({ method }) => method === "transact").length).toBe(2);
    aborter.abort();
    await aborted;
    await late;
    await client.request("list_dbs", []);
    const cancelled = server.requests.filter(({ method }) => method === "cancel").map(({ params }) => params[0]);
    const sent = server.requests.filter(({ method }) => method === "transact").map(({ id }) => id);
    expect(cancelled.sort()).toEqual(sent.sort());
  });

  test("many that are started together leave together", async () => {
    await using server = await FakeServer.start();
    server.handler = ({ params }) => params.slice(1).map(() => ({ count: 0 }));
    await using client = await connect(server.remote);
    const one = () => client.transact((transaction) => void transaction.delete("Thing", []));
    expect(await Promise.all(Array.from({ length: 200 }, one))).toHaveLength(200);
  });
});

test("a server with an older schema reads as defaults, and refuses what it lacks", async () => {
  await using server = await FakeServer.start();
  const { Counter } = RandomDatabase.tables;
  server.schema = {
    name: "Random",
    version: "0.9.0",
    tables: { Counter, Thing: { columns: { name: { type: "string" }, real: { type: "integer" } } } },
  };
  const id = "6d53a6dd-2da7-4924-9927-97f613812382";
  server.handler = ({ method }) =>
    method === "monitor_cond_since"
      ? [false, id, { Thing: { [id]: { initial: { name: "old" } } } }]
      : [{ rows: [{ _uuid: ["uuid", id], name: "old", later: 7 }] }];
  await using client = await connect(server.remote);
  const monitor = await client.monitor({ Thing: ["name", "number", "labels"] });
  expect(monitor.tables.Thing.only()).toMatchObject({ name: "old", number: 0, labels: {} });
  const asked = server.requests.find(({ method }) => method === "monitor_cond_since")?.params[2];
  expect(asked).toEqual({ Thing: [{ columns: ["name"], where: [true] }] });
  const transaction = client.transaction();
  const select = transaction.select("Thing", []);
  expect((await client.transact(transaction)).rows(select)).toMatchObject([{ name: "old", number: 0 }]);
  await expect(client.transact((writing) => void writing.update("Thing", [], { number: 1 }))).rejects.toMatchObject({
    code: "OVSDB_SCHEMA_MISMATCH",
    details: { table: "Thing", column: "number" },
  });
  await expect(client.monitor({ Thing: ["real"] })).rejects.toMatchObject({ code: "OVSDB_SCHEMA_MISMATCH" });
});
