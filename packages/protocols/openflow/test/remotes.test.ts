import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectOpenFlow } from "../src/index.ts";
import { parseRemote } from "../src/client/remote.ts";
import { message } from "./switch-words.ts";

const run = promisify(execFile);

/** A switch that says hello, and no more. */
function greet(socket: Socket): void {
  socket.on("error", () => undefined).resume();
  socket.write(message(0, 1));
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

test("a remote is read as Open vSwitch writes it", () => {
  expect(parseRemote("unix:/run/a b:c.mgmt")).toEqual({ kind: "unix", path: "/run/a b:c.mgmt" });
  expect(parseRemote("tcp:192.0.2.1")).toEqual({ kind: "tcp", host: "192.0.2.1", port: 6653 });
  expect(parseRemote("ssl:[2001:db8::1]:6660")).toEqual({ kind: "ssl", host: "2001:db8::1", port: 6660 });
});

test("TCP", async () => {
  const server = createServer(greet);
  const port = await listen(server);
  try {
    await using client = await connectOpenFlow({ remote: `tcp:127.0.0.1:${port}` });
    expect(client.isOpen).toBe(true);
  } finally {
    await new Promise((resolve) => void server.close(resolve));
  }
});

describe("TLS", () => {
  let folder: string;
  let server: Server;
  let remote: string;
  let ca: string;
  let other: string;

  /** A certificate that signs for itself, and names no host. */
  const certificate = async (name: string): Promise<{ readonly cert: string; readonly key: string }> => {
    const at = (end: string): string => join(folder, `${name}-${end}.pem`);
    await writeFile(at("config"), "[req]\ndistinguished_name=dn\n[dn]\n");
    await run("openssl", [
      ...["req", "-x509", "-config", at("config"), "-subj", `/CN=${name}`, "-days", "2", "-newkey", "ec", "-nodes"],
      ...["-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", at("key"), "-out", at("cert")],
    ]);
    return { cert: await readFile(at("cert"), "utf8"), key: await readFile(at("key"), "utf8") };
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vdc-openflow-"));
    const own = await certificate("switch");
    ({ cert: ca } = own);
    ({ cert: other } = await certificate("other"));
    server = createTlsServer(own, greet);
    remote = `ssl:127.0.0.1:${await listen(server)}`;
  });
  afterAll(async () => {
    await new Promise((resolve) => void server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });

  test("trusts what the given authority has signed, though that names no host", async () => {
    await using client = await connectOpenFlow({ remote, tls: { ca } });
    expect(client.isOpen).toBe(true);
  });

  test.each([
    ["another authority", () => ({ ca: other })],
    ["the system's authorities", () => ({})],
    ["the name too", () => ({ ca, verifyHost: true })],
  ])("does not trust it by %s", async (_, tls) => {
    await expect(connectOpenFlow({ remote, tls: tls() })).rejects.toMatchObject({ code: "OPENFLOW_CONNECT_FAILED" });
  });

  test("says that a key is none", async () => {
    const connecting = connectOpenFlow({ remote, tls: { ca, cert: ca, key: "no key" } });
    await expect(connecting).rejects.toMatchObject({ code: "OPENFLOW_INVALID_ARGUMENT" });
  });
});
