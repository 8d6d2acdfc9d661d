import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connectOvsdb, type MonitorMethod, type OvsdbClient, OvsdbError } from "@vdc-os/ovsdb";
import { type OvsdbServer, startOvsdbCluster, startOvsdbServer } from "@vdc-os/ovsdb/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { daemonsPresent } from "./daemons-present.ts";
import { Follower, plainRow, plainWireRow } from "./follower.ts";
import {
  fillRandomly,
  RandomDatabase,
  type RandomTables,
  readCount,
  seededRandom,
  writeRandomSchema,
} from "./random-database.ts";

const present = daemonsPresent("ovsdb");
const kills = process.env.VDC_DEEP ? 50 : 4;
let folder: string;
let schema: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ovsdb-kills-"));
  schema = await writeRandomSchema(folder);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Writes without end, and knows how often it was acknowledged. */
class Writer {
  acknowledged = 0;
  unknown = 0;
  #running = true;
  readonly #done: Promise<void>;

  constructor(client: OvsdbClient<RandomTables>, followed: Follower<FollowedRows>, random: () => number) {
    this.#done = this.#run(client, followed, random);
  }

  async #run(client: OvsdbClient<RandomTables>, { monitor }: Follower<FollowedRows>, random: () => number) {
    while (this.#running) {
      const things = monitor.tables.Thing.rows();
      const seen = monitor.tables.Counter.only()?.count ?? 0;
      try {
        await client.transact((transaction) => fillRandomly(transaction, random, things));
        this.acknowledged += 1;
        // The tables of this client show what was acknowledged.
        if (monitor.isCurrent) expect(monitor.tables.Counter.only()?.count).toBeGreaterThan(seen);
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        if (error.code === "OVSDB_OUTCOME_UNKNOWN") this.unknown += 1;
        else if (!error.retryable && error.code !== "OVSDB_OPERATION_FAILED") throw error;
      }
    }
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }
}

/** What one of the monitors sees, in turn. */
const CONDITIONS = [
  {
    where: [
      ["number", "<", 50],
      ["labels", "includes", { a: "1" }],
    ],
    matches: (number: number, labels: readonly string[]) => number < 50 || labels.includes('["a","1"]'),
  },
  { where: [["number", ">=", 50]], matches: (number: number) => number >= 50 },
] as const;

type FollowedRows = { readonly Thing: RandomTables["Thing"]["row"]; readonly Counter: RandomTables["Counter"]["row"] };

async function follow(remotes: string, monitorMethod: MonitorMethod) {
  const client = await connectOvsdb({
    remotes,
    model: RandomDatabase,
    monitorMethod,
    backOff: { minMs: 5, maxMs: 50 },
    probeIntervalMs: 1_000,
  });
  const whole = new Follower(await client.monitor({ Thing: true, Counter: true }), ["Thing", "Counter"]);
  const part = new Follower(
    await client.monitor({
      Thing: {
        columns: ["name", "number", "labels"],
        where: CONDITIONS[0].where,
      },
    }),
    ["Thing"],
  );
  const counter = new Follower(await client.monitor({ Counter: ["count"] }), ["Counter"]);
  return { client, whole, part, counter };
}

/** Compares what a client's monitors show with what the server has, asked by a connection that has nothing of the client. */
async function compare(
  server: OvsdbServer,
  followed: Awaited<ReturnType<typeof follow>>,
  count: number,
  matches: (typeof CONDITIONS)[number]["matches"],
) {
  const { whole, part, counter } = followed;
  for (const { monitor } of [whole, counter]) {
    await monitor.waitFor(({ Counter }) => Counter.only()?.count === count, {
      what: `count ${count}`,
      timeoutMs: 60_000,
    });
  }
  await part.monitor.waitFor(() => true);
  // What a server tells is in order: behind an answer of it lies nothing that came before.
  await followed.client.listDatabases();
  const columns = ["_uuid", ...Object.keys(RandomDatabase.tables.Thing.columns)];
  const [result] = (await server.transact({ op: "select", table: "Thing", where: [], columns })) as [
    { readonly rows: readonly Readonly<Record<string, unknown>>[] },
  ];
  const order = (rows: readonly Record<string, readonly string[]>[]) =>
    rows.toSorted((a, b) => (a._uuid![0]! < b._uuid![0]! ? -1 : 1));
  const theirs = order(result.rows.map(plainWireRow));
  expect(order(whole.monitor.tables.Thing.rows().map(plainRow))).toEqual(theirs);
  const matching = theirs.filter(({ number, labels }) => matches(Number(number![0]), labels!));
  expect(order(part.monitor.tables.Thing.rows().map(plainRow))).toEqual(
    matching.map(({ _uuid, name, number, labels }) => ({ _uuid, name, number, labels })),
  );
  for (const follower of [whole, part, counter]) follower.check();
}

interface Subject {
  readonly remotes: string;
  /** How the clients monitor, one each. */
  readonly methods: readonly MonitorMethod[];
  /** Kills what serves, and has it serve again. */
  readonly disturb: (random: () => number) => Promise<void>;
  readonly server: () => Promise<OvsdbServer>;
}

async function disturbAndCompare(subject: Subject, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const first = await subject.server();
  await first.transact({ op: "insert", table: "Counter", row: {} });
  const followed = await Promise.all(subject.methods.map((method) => follow(subject.remotes, method)));
  let acknowledged = 0;
  let unknown = 0;
  try {
    for (let kill = 0; kill < kills; kill += 1) {
      const [main] = followed;
      const writer = new Writer(main!.client, main!.whole, random);
      await main!.whole.monitor.waitFor(({ Counter }) => (Counter.only()?.count ?? 0) > acknowledged + unknown);
      await delay(random() * 40);
      const condition = CONDITIONS[(kill + 1) % CONDITIONS.length]!;
      const disturbed = subject.disturb(random);
      await delay(random() * 20);
      const changed = followed.map(({ part }) => part.monitor.setConditions({ Thing: condition.where }));
      await disturbed;
      await Promise.all(changed);
      await main!.client.connected();
      await delay(random() * 40);
      await writer.stop();
      acknowledged += writer.acknowledged;
      unknown += writer.unknown;
      // In a cluster a new leader commits what its predecessor left behind together with its first own entry: this one.
      await main!.client.transact((transaction) => transaction.mutate("Counter", [], [["count", "+=", 1]]));
      acknowledged += 1;
      const count = await readCount(main!.client);
      expect(count).toBeGreaterThanOrEqual(acknowledged);
      expect(count).toBeLessThanOrEqual(acknowledged + unknown);
      const server = await subject.server();
      for (const each of followed) await compare(server, each, count, condition.matches);
    }
    const changes = followed.reduce((sum, { whole }) => sum + whole.changes, 0);
    console.log(
      `${kills} kills, ${acknowledged} transactions acknowledged, ${unknown} unknown, ${changes} changes told`,
    );
  } finally {
    for (const { client } of followed) await client.close();
  }
}

const methods: readonly MonitorMethod[] = ["monitor_cond_since", "monitor_cond_since", "monitor_cond"];

/** On a server of their own: ovsdb-server 3.1.0 dies of SIGSEGV where some clients monitor in this way and others in the newer ones. */
const rfcMethods: readonly MonitorMethod[] = ["monitor", "monitor"];

describe.skipIf(!present)("kill -9 at random instants, while one writes and many monitor", () => {
  test.each([
    { name: "standalone", clustered: false, methods },
    { name: "standalone, by RFC 7047 alone", clustered: false, methods: rfcMethods },
    { name: "a cluster of one", clustered: true, methods },
  ])("$name", async ({ clustered, methods: ways }) => {
    await using server = await startOvsdbServer({ source: { schema }, clustered });
    await disturbAndCompare(
      {
        remotes: server.remote,
        methods: ways,
        server: async () => server,
        disturb: async (random) => {
          await server.kill();
          await delay(random() * 30);
          await server.start();
          await server.untilConnected();
        },
      },
      7047,
    );
  });

  test("the leader of three", async () => {
    await using cluster = await startOvsdbCluster({ source: { schema }, members: 3 });
    await disturbAndCompare(
      {
        remotes: cluster.remote,
        methods,
        server: () => cluster.leader(),
        disturb: async (random) => {
          const leader = await cluster.leader();
          await leader.kill();
          await cluster.leader();
          await delay(random() * 100);
          await leader.start();
        },
      },
      47,
    );
  });
});
