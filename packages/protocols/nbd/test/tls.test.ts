import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  listExports,
  NbdClient,
  type NbdClientTls,
  type NbdConnection,
  NbdServer,
  openRawFile,
  readClientTls,
  readServerTls,
} from "../src/index.ts";
import * as wire from "../src/wire/wire-constants.ts";
import { makeCertificates } from "./certificates.ts";
import { createMemoryDisk, type MemoryDisk } from "./memory-disk.ts";
import { RawClient } from "./raw-client.ts";
import { startPeer } from "./peer-process.ts";
import { runTool, toolsPresent } from "./tool.ts";

const MIB = 1024 * 1024;
const hasOpenssl = toolsPresent("openssl");

describe.skipIf(!hasOpenssl)("TLS", () => {
  let folder: string;
  let certificates: string;
  let strangers: string;
  let clientTls: NbdClientTls;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nbd-tls-"));
    certificates = join(folder, "certificates");
    strangers = join(folder, "strangers");
    await Promise.all([makeCertificates(certificates), makeCertificates(strangers)]);
    clientTls = readClientTls(certificates);
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  let server: NbdServer;
  let disk: MemoryDisk;
  let port: number;
  let opened: NbdConnection[];

  beforeEach(async () => {
    server = new NbdServer({ tls: readServerTls(certificates), handshakeTimeoutMs: 2000 });
    disk = createMemoryDisk(64 * MIB);
    opened = [];
    server.addExport({ name: "d", backend: disk, interceptor: { open: (connection) => void opened.push(connection) } });
    server.addExport({ name: "secret", backend: disk, tlsOnly: true });
    port = await server.listenTcp(0);
  });

  afterEach(async () => {
    await server.close({ graceMs: 0 });
  });

  const address = (): { host: string; port: number } => ({ host: "127.0.0.1", port });

  describe("our client and our server", () => {
    test("encrypt, know each other, and carry data", async () => {
      await using client = await NbdClient.connect(address(), { exportName: "d", tls: clientTls });
      const data = Buffer.alloc(40 * MIB, "secret ");
      await client.write(data, 4096);
      const back = Buffer.alloc(data.length);
      await client.read(back, 4096);
      expect(back.equals(data)).toBe(true);
      expect(await client.blockStatus(0, 4096)).toEqual([{ length: 4096, kind: "hole" }]);
      expect(opened[0]?.isEncrypted).toBe(true);
      expect(opened[0]?.peerCertificate?.subject.CN).toBe("tester");
      expect((await listExports(address(), { tls: clientTls })).map(({ name }) => name)).toEqual(["d", "secret"]);
    });

    test("a client without TLS is told so, and nothing else", async () => {
      await expect(NbdClient.connect(address(), { exportName: "d" })).rejects.toMatchObject({
        code: "NBD_TLS_REQUIRED",
      });
      await expect(listExports(address())).rejects.toMatchObject({ code: "NBD_TLS_REQUIRED" });
      const raw = await RawClient.connect(address());
      for (const option of [
        wire.OPT_LIST,
        wire.OPT_INFO,
        wire.OPT_GO,
        wire.OPT_STRUCTURED_REPLY,
        wire.OPT_SET_META_CONTEXT,
        99,
      ]) {
        expect(await raw.option(option, Buffer.alloc(6))).toMatchObject([{ type: wire.REP_ERR_TLS_REQD }]);
      }
      expect(await raw.option(wire.OPT_STARTTLS, Buffer.alloc(1))).toMatchObject([{ type: wire.REP_ERR_INVALID }]);
      raw.sendOption(wire.OPT_EXPORT_NAME, Buffer.from("d"));
      await raw.closed;
      const leaving = await RawClient.connect(address());
      expect(await leaving.option(wire.OPT_ABORT)).toMatchObject([{ type: wire.REP_ACK }]);
      await leaving.closed;
    });

    test("a client without a certificate, or with a stranger's, is not let in", async () => {
      const { authority } = clientTls;
      for (const tls of [
        authority ? { authority } : {},
        { ...readClientTls(strangers), ...(authority && { authority }) },
      ]) {
        const connecting = NbdClient.connect(address(), { exportName: "d", tls, timeoutMs: 3000 });
        // TLS 1.3 lets the client believe in success before the server has looked.
        await expect(connecting).rejects.toMatchObject({
          code: expect.stringMatching(/NBD_(TLS_FAILED|CLOSED|REFUSED)/),
        });
      }
      expect(opened).toEqual([]);
    });

    test("a server that is a stranger, or has another name, is refused", async () => {
      const { certificate, key } = clientTls;
      const mine = { ...(certificate && { certificate }), ...(key && { key }) };
      const { authority } = readClientTls(strangers);
      const wrong = [{ ...mine, ...(authority && { authority }) }, { ...clientTls, serverName: "elsewhere" }, mine];
      for (const tls of wrong) {
        await expect(NbdClient.connect(address(), { exportName: "d", tls })).rejects.toMatchObject({
          code: "NBD_TLS_FAILED",
        });
      }
    });

    test("a server without TLS is refused by a client that wants it: there is no way down", async () => {
      const plain = new NbdServer();
      plain.addExport({ name: "d", backend: disk });
      await expect(plain.listenTcp(0)).rejects.toMatchObject({ code: "NBD_INVALID_ARGUMENT" });
      const plainPort = await plain.listenTcp(0, { tls: "off" });
      const connecting = NbdClient.connect({ host: "127.0.0.1", port: plainPort }, { exportName: "d", tls: clientTls });
      await expect(connecting).rejects.toMatchObject({ code: "NBD_TLS_FAILED" });
      await plain.close();
    });

    test("what is sent in clear behind STARTTLS ends the connection", async () => {
      const raw = await RawClient.connect(address());
      const option = Buffer.alloc(16);
      option.writeUInt32BE(wire.OPTION_MAGIC_HIGH, 0);
      option.writeUInt32BE(wire.OPTION_MAGIC_LOW, 4);
      option.writeUInt32BE(wire.OPT_STARTTLS, 8);
      raw.write(Buffer.concat([option, option]));
      await raw.closed;
    });

    test("a client that says STARTTLS and then nothing, or nonsense, is dropped", async () => {
      const impatient = new NbdServer({ tls: readServerTls(certificates), handshakeTimeoutMs: 1500 });
      const host = { host: "127.0.0.1", port: await impatient.listenTcp(0) };
      for (const nonsense of [undefined, Buffer.alloc(1000, 0x41)]) {
        const raw = await RawClient.connect(host);
        expect(await raw.option(wire.OPT_STARTTLS)).toMatchObject([{ type: wire.REP_ACK }]);
        if (nonsense) raw.write(nonsense);
        await raw.closed;
      }
      await expect.poll(() => impatient.connections).toEqual([]);
      await impatient.close();
    });

    test("offered: exports that are for TLS alone are hidden without it", async () => {
      const offered = { host: "127.0.0.1", port: await server.listenTcp(0, { tls: "offered" }) };
      expect((await listExports(offered)).map(({ name }) => name)).toEqual(["d"]);
      await using client = await NbdClient.connect(offered, { exportName: "d" });
      await client.write(Buffer.from("clear"), 0);
      expect(opened[0]?.isEncrypted).toBe(false);
      for (const exportName of ["secret", "unknown"]) {
        await expect(NbdClient.connect(offered, { exportName })).rejects.toMatchObject({ code: "NBD_TLS_REQUIRED" });
      }
      await using secret = await NbdClient.connect(offered, { exportName: "secret", tls: clientTls });
      const target = Buffer.alloc(5);
      await secret.read(target, 0);
      expect(target.toString()).toBe("clear");
      await expect(NbdClient.connect(offered, { exportName: "unknown", tls: clientTls })).rejects.toMatchObject({
        code: "NBD_EXPORT_UNKNOWN",
      });
      const path = join(folder, "plain");
      await server.listenUnix(path);
      await expect(NbdClient.connect(path, { exportName: "secret" })).rejects.toMatchObject({
        code: "NBD_EXPORT_UNKNOWN",
      });
    });

    test("a certificate that is none is refused at once", () => {
      const broken = { certificate: "nonsense", key: "nonsense" };
      expect(() => new NbdServer({ tls: broken })).toThrowError(
        expect.objectContaining({ code: "NBD_INVALID_ARGUMENT" }),
      );
    });

    test("bytes on the wire are not the data", async () => {
      const seen: Buffer[] = [];
      const sockets: Socket[] = [];
      const tap = createServer((near) => {
        const far = connect(port, "127.0.0.1");
        sockets.push(near, far);
        for (const [from, to] of [
          [near, far],
          [far, near],
        ] as const) {
          from.on("error", () => {});
          from.on("data", (chunk: Buffer) => seen.push(chunk));
          from.pipe(to);
        }
      });
      await new Promise<void>((resolve) => tap.listen(0, "127.0.0.1", resolve));
      const { port: tapPort } = tap.address() as { readonly port: number };
      const client = await NbdClient.connect({ host: "127.0.0.1", port: tapPort }, { exportName: "d", tls: clientTls });
      await client.write(Buffer.alloc(65536, "plain text! "), 0);
      await client.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => tap.close(resolve));
      expect(Buffer.concat(seen).length).toBeGreaterThan(65536);
      expect(Buffer.concat(seen).includes("plain text!")).toBe(false);
    });
  });

  describe("judged by others", () => {
    const uri = (name: string): string => `nbds://localhost:${port}/${name}?tls-certificates=${certificates}`;

    test.skipIf(!toolsPresent("nbdinfo", "nbdcopy"))("nbdinfo and nbdcopy, with and without certificates", async () => {
      const file = join(folder, "in.img");
      const source = Buffer.alloc(20 * MIB, "over TLS ");
      await writeFile(file, source);
      await runTool("nbdcopy", file, uri("d"));
      expect(disk.bytes.subarray(0, source.length).equals(source)).toBe(true);
      await runTool("nbdcopy", "--connections=2", uri("d"), join(folder, "out.img"));
      expect((await readFile(join(folder, "out.img"))).subarray(0, source.length).equals(source)).toBe(true);
      const info = await runTool("nbdinfo", "--list", uri(""));
      expect(info).toContain("protocol: newstyle-fixed with TLS");
      expect(info).toContain('export="secret"');
      await expect(runTool("nbdinfo", `nbd://localhost:${port}/d`)).rejects.toThrow(/server requires TLS|TLS/);
      await expect(runTool("nbdinfo", uri("d").replace(certificates, strangers))).rejects.toThrow();
    });

    test.skipIf(!toolsPresent("qemu-img", "qemu-io"))("qemu-img and qemu-io", async () => {
      const creds = (id: string, dir: string): string => `tls-creds-x509,id=${id},endpoint=client,dir=${dir}`;
      const image = `driver=nbd,server.type=inet,server.host=localhost,server.port=${port},export=d,tls-creds=t`;
      const object = ["--object", creds("t", certificates)];
      const steps = ["write -P 7 1M 20M", "write -z 2M 64k", "flush", "read -P 7 3M 1M", "read -P 0 2M 64k"];
      const out = await runTool("qemu-io", ...object, "--image-opts", ...steps.flatMap((step) => ["-c", step]), image);
      expect(out).not.toMatch(/fail/i);
      expect(await runTool("qemu-img", "info", ...object, "--image-opts", image)).toContain("64 MiB");
      await expect(
        runTool("qemu-img", "info", "--object", creds("t", strangers), "--image-opts", image),
      ).rejects.toThrow();
    });

    test.skipIf(!toolsPresent("nbdkit"))("our client against nbdkit, mutually known", async () => {
      const path = join(folder, "k");
      const args = ["-f", "--tls=require", `--tls-certificates=${certificates}`, "--tls-verify-peer", "-U", path];
      await using peer = await startPeer(path, "nbdkit", ...args, "memory", "64M");
      await expect(peer.connect({})).rejects.toMatchObject({ code: "NBD_TLS_REQUIRED" });
      const client = await peer.connect({ tls: clientTls });
      const data = Buffer.alloc(3 * MIB, "xyz");
      await client.write(data, 512);
      const back = Buffer.alloc(data.length);
      await client.read(back, 512);
      expect(back.equals(data)).toBe(true);
      await client.close();
    });

    test.skipIf(!toolsPresent("qemu-nbd"))("our client against qemu-nbd", async () => {
      const path = join(folder, "q");
      const file = join(folder, "q.raw");
      openRawFile(file, { sizeBytes: MIB }).close();
      const object = `tls-creds-x509,id=t,endpoint=server,dir=${certificates},verify-peer=on`;
      const args = ["-t", "-f", "raw", "-x", "q", "--object", object, "--tls-creds", "t", "-k", path, file];
      await using peer = await startPeer(path, "qemu-nbd", ...args);
      await expect(peer.connect({ exportName: "q" })).rejects.toMatchObject({ code: "NBD_TLS_REQUIRED" });
      const client = await peer.connect({ exportName: "q", tls: clientTls });
      await client.write(Buffer.from("hello"), 512);
      const back = Buffer.alloc(5);
      await client.read(back, 512);
      expect(back.toString()).toBe("hello");
      await client.close();
    });
  });
});
