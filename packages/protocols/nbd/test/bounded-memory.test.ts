import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { NbdClient } from "../src/index.ts";
import * as wire from "../src/wire/wire-constants.ts";
import { RawClient } from "./raw-client.ts";

const MIB = 1024 * 1024;
const CLIENTS = 6;

let folder: string;
let path: string;
let child: ChildProcess;
let clients: RawClient[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nbd-memory-"));
  path = join(folder, "s");
  clients = [];
  const entry = fileURLToPath(new URL("./memory-server.ts", import.meta.url));
  child = fork(entry, [path], { execArgv: ["--expose-gc"], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  await once(child, "message");
});

afterEach(async () => {
  for (const client of clients) client.close();
  const gone = once(child, "exit");
  child.disconnect();
  await gone;
  await rm(folder, { recursive: true, force: true });
});

async function connect(exportName?: string): Promise<RawClient> {
  const client = await RawClient.connect(path);
  client.pause();
  clients.push(client);
  if (exportName !== undefined) {
    client.resume();
    await client.go(exportName);
    client.pause();
  }
  return client;
}

async function residentMib(): Promise<number> {
  // A well-behaved client is served in the meantime, behind all that the others have sent so far.
  await using client = await NbdClient.connect(path, { exportName: "d" });
  for (let round = 0; round < 50; round++) await client.flush();
  const answer = once(child, "message");
  child.send("rss");
  return Number((await answer)[0]) / MIB;
}

/** By how many MiB the server's memory grows at most while clients do something. */
async function growth(act: () => Promise<void>): Promise<number> {
  const before = await residentMib();
  await act();
  return (await residentMib()) - before;
}

test("clients that never read their replies cost a few of them each", async () => {
  const grown = await growth(async () => {
    for (let index = 0; index < CLIENTS; index++) {
      const client = await connect("d");
      // 2 GiB of replies for each.
      for (let count = 0; count < 2048; count++) client.request({ type: wire.CMD_READ, offset: 0, length: MIB });
    }
  });
  // Each: 4 MiB of replies that are queued, and one that goes over it; all together: what the pool keeps.
  expect(grown).toBeLessThan(CLIENTS * 6 + 40);
});

test("requests that a slow backend does not answer cost the connection's limit", async () => {
  const grown = await growth(async () => {
    for (let index = 0; index < CLIENTS; index++) {
      const client = await connect("stuck");
      for (let count = 0; count < 500; count++) client.request({ type: wire.CMD_READ, offset: 0, length: MIB });
    }
  });
  // Each: 32 MiB in flight and one request that goes over it.
  expect(grown).toBeLessThan(CLIENTS * 34 + 40);
});

test("half a request costs what was sent of it", async () => {
  const grown = await growth(async () => {
    for (let index = 0; index < CLIENTS; index++) {
      const client = await connect("d");
      client.request({ type: wire.CMD_WRITE, offset: 0, length: 32 * MIB, payload: Buffer.alloc(8 * MIB, 1) });
      const slow = await connect();
      slow.sendOption(wire.OPT_GO, Buffer.alloc(1000), 60_000);
    }
  });
  expect(grown).toBeLessThan(CLIENTS * 9 + 40);
});

test("clients that send options without end, and never read, cost one list each", async () => {
  const grown = await growth(async () => {
    for (let index = 0; index < CLIENTS; index++) {
      const client = await connect();
      // A list is 2 MiB here.
      for (let count = 0; count < 1000; count++) client.sendOption(wire.OPT_LIST);
    }
  });
  // Replies of a few KiB are objects of their own, so a list takes more than its bytes.
  expect(grown).toBeLessThan(CLIENTS * 10 + 40);
});

test("connections that come and go leave nothing behind", async () => {
  const round = async (): Promise<void> => {
    for (let index = 0; index < 20; index++) {
      await using client = await NbdClient.connect(path, { exportName: "d" });
      await Promise.all(Array.from({ length: 16 }, () => client.read(Buffer.alloc(MIB), 0)));
    }
  };
  await round();
  expect(await growth(round)).toBeLessThan(40);
});
