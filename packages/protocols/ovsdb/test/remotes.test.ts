import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectOvsdb, parseRemotes } from "@vdc-os/ovsdb";
import { DaemonFolder, findProgram } from "@vdc-os/ovsdb/testing";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { daemonsPresent } from "./daemons-present.ts";
import { RandomDatabase, writeRandomSchema } from "./random-database.ts";

describe("remotes as OVS writes them", () => {
  test.each([
    ["unix:/run/a b.sock", { kind: "unix", path: "/run/a b.sock" }],
    ["tcp:10.0.0.1:6641", { kind: "tcp", host: "10.0.0.1", port: 6641 }],
    ["tcp:localhost", { kind: "tcp", host: "localhost", port: 6640 }],
    ["ssl:[::1]:6642", { kind: "ssl", host: "::1", port: 6642 }],
    ["ssl:[fe80::1%eth0]", { kind: "ssl", host: "fe80::1%eth0", port: 6640 }],
  ])("%s", (text, remote) => {
    expect(parseRemotes(text)).toEqual([{ ...remote, text }]);
  });

  test("several, with commas or in an array", () => {
    expect(parseRemotes("tcp:a:1, tcp:b:2").map(({ text }) => text)).toEqual(["tcp:a:1", "tcp:b:2"]);
    expect(parseRemotes(["unix:/a", "tcp:b:2,ssl:c:3"])).toHaveLength(3);
  });

  test.each([
    "",
    " , ",
    "unix:",
    "/run/db.sock",
    "tcp:::1:6640",
    "tcp:host:0",
    "tcp:host:70000",
    "udp:host:1",
    "punix:/a",
  ])("%j is none", (text) => {
    expect(() => parseRemotes(text)).toThrow(expect.objectContaining({ code: "OVSDB_INVALID_ARGUMENT" }));
  });
});

const present =
  daemonsPresent("ovsdb") &&
  spawnSync(findProgram("ovsdb-server"), ["--help"], { encoding: "utf8" }).stdout.includes("ssl");
const openssl = spawnSync("openssl", ["version"]).error === undefined;
if (present && !openssl) {
  const text = "not installed: openssl; TLS is not tested";
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED: ${text}`);
}

describe.skipIf(!present || !openssl)("TCP and TLS", () => {
  let folder: string;
  let schema: string;
  let ours: Certificates;
  let theirs: Certificates;
  let port: number;
  let tcpPort: number;
  let files: DaemonFolder;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ovsdb-tls-"));
    schema = await writeRandomSchema(folder);
    [ours, theirs] = [await makeCertificates(folder, "ours"), await makeCertificates(folder, "theirs")];
    files = await DaemonFolder.create();
    const { certPath, keyPath, caPath } = ours.server;
    const database = files.file("tls.db");
    const { status, stderr } = spawnSync(findProgram("ovsdb-tool"), ["create", database, schema], { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    const daemon = await files.start({
      name: "tls",
      program: findProgram("ovsdb-server"),
      args: [
        database,
        "--remote=pssl:0:127.0.0.1",
        `--unixctl=${files.socket("tls.ctl")}`,
        "--no-chdir",
        "-vconsole:info",
        `--private-key=${keyPath}`,
        `--certificate=${certPath}`,
        `--ca-cert=${caPath}`,
      ],
      control: files.socket("tls.ctl"),
    });
    // The server takes ports that are free, and writes down which.
    const chosen = async (count: number): Promise<number> => {
      const look = async () => {
        const ports = [...(await daemon.logTail()).matchAll(/listening on port (\d+)/g)];
        expect(ports).toHaveLength(count);
        return Number(ports.at(-1)?.[1]);
      };
      return vi.waitFor(look, { timeout: 60_000 });
    };
    port = await chosen(1);
    await daemon.control("ovsdb-server/add-remote", "ptcp:0:127.0.0.1");
    tcpPort = await chosen(2);
  });

  afterAll(async () => {
    await files?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const connect = (remotes: string, tls: object, timeoutMs = 5_000) =>
    connectOvsdb({ remotes, model: RandomDatabase, tls, timeoutMs, backOff: { minMs: 20, maxMs: 50 } });

  test("TCP", async () => {
    await using client = await connect(`tcp:127.0.0.1:${tcpPort}`, {});
    expect(await client.listDatabases()).toContain("Random");
  });

  test("TLS with a client's certificate, the authority known", async () => {
    await using client = await connect(`ssl:127.0.0.1:${port}`, { ca: ours.ca, ...ours.client });
    await client.transact((transaction) => void transaction.insert("Thing", { name: "over TLS" }));
    const monitor = await client.monitor({ Thing: ["name"] });
    expect(monitor.tables.Thing.only()?.name).toBe("over TLS");
  });

  test.each<[string, () => object]>([
    ["the server is of another authority", () => ({ ca: theirs.ca, ...ours.client })],
    ["the client is of another authority", () => ({ ca: ours.ca, ...theirs.client })],
    ["the client has no certificate", () => ({ ca: ours.ca })],
    ["the host is to be named, and isn't", () => ({ ca: ours.ca, ...ours.client, verifyHost: true })],
    ["no authority is given", () => ({ ...ours.client })],
  ])("refused: %s", async (_, tls) => {
    await expect(connect(`ssl:127.0.0.1:${port}`, tls(), 300)).rejects.toMatchObject({ code: "OVSDB_CONNECT_FAILED" });
  });

  test("a key that is none says so, and at once", async () => {
    const connecting = connect(`ssl:127.0.0.1:${port}`, { ca: ours.ca, cert: "x", key: "y" });
    await expect(connecting).rejects.toMatchObject({ code: "OVSDB_INVALID_ARGUMENT" });
  });
});
