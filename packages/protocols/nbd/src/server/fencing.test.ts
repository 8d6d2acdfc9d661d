import { describe, expect, test } from "vitest";
import { createMemoryDisk, type MemoryDisk } from "../../test/memory-disk.ts";
import { NbdPlace } from "../../test/nbd-place.ts";
import type { NbdClient, NbdRequest, NbdServer } from "../index.ts";

const MIB = 1024 * 1024;

const place = new NbdPlace();
let server: NbdServer;
let disk: MemoryDisk;

async function serve(): Promise<void> {
  server = await place.listen();
  disk = createMemoryDisk(64 * MIB);
  server.addExport({ name: "d", backend: disk });
}

const open = (exportName = "d"): Promise<NbdClient> => place.open({ exportName });

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe("fencing", () => {
  test("an interceptor refuses, delays, and learns of every end", async () => {
    await serve();
    const log: string[] = [];
    const gate = deferred();
    let revoked = false;
    let inFlight = 0;
    server.addExport({
      name: "fenced",
      backend: disk,
      interceptor: {
        open: ({ exportName }) => void log.push(`open ${exportName}`),
        before: ({ command }: NbdRequest) => {
          if (revoked) throw Object.assign(new Error("old generation"), { code: "ESHUTDOWN" });
          inFlight++;
          return command === "trim" ? gate.promise : undefined;
        },
        after: ({ command, offset, length }, _connection, error) => {
          inFlight--;
          log.push(`${command} ${offset}+${length} ${error === undefined ? "ok" : "failed"}`);
        },
        closed: () => void log.push("closed"),
      },
    });
    const client = await open("fenced");
    await client.write(Buffer.alloc(10), 5);
    const trimming = client.trim(0, 4096);
    await client.flush();
    expect(inFlight).toBe(1);
    expect(disk.calls.trim).toBe(0);
    gate.resolve();
    await trimming;
    revoked = true;
    await expect(client.write(Buffer.alloc(10), 5)).rejects.toMatchObject({ errno: "ESHUTDOWN" });
    await expect(client.read(Buffer.alloc(10), 5)).rejects.toMatchObject({ errno: "ESHUTDOWN" });
    expect(disk.calls.write).toBe(1);
    await client.close();
    await server.close();
    expect(inFlight).toBe(0);
    expect(log).toEqual(["open fenced", "write 5+10 ok", "flush 0+0 ok", "trim 0+4096 ok", "closed"]);
  });

  test("an interceptor keeps a client out", async () => {
    await serve();
    const refuse = (): never => {
      throw new Error("not you");
    };
    server.addExport({ name: "private", backend: disk, interceptor: { open: refuse } });
    await expect(open("private")).rejects.toMatchObject({ code: "NBD_REFUSED" });
  });

  test("a removed export answers ESHUTDOWN, and its removal awaits what is in flight", async () => {
    await serve();
    const gate = deferred();
    disk.write = () => gate.promise;
    const client = await open();
    const writing = client.write(Buffer.alloc(512), 0);
    await client.flush();
    let removed = false;
    const removing = server.removeExport("d").then(() => {
      removed = true;
    });
    await expect(client.read(Buffer.alloc(1), 0)).rejects.toMatchObject({ errno: "ESHUTDOWN" });
    await expect(client.write(Buffer.alloc(1), 0)).rejects.toMatchObject({ errno: "ESHUTDOWN" });
    await expect(open()).rejects.toMatchObject({ code: "NBD_EXPORT_UNKNOWN" });
    expect(removed).toBe(false);
    server.addExport({ name: "d", backend: createMemoryDisk(MIB) });
    expect((await open()).sizeBytes).toBe(MIB);
    gate.resolve();
    await writing;
    await removing;
  });

  test("drain finishes what is in flight and refuses what is new; close then delivers the answers", async () => {
    await serve();
    const gate = deferred();
    disk.flush = () => gate.promise;
    const client = await open();
    const flushing = client.flush();
    await client.read(Buffer.alloc(1), 0);
    const draining = server.drain();
    await expect(client.read(Buffer.alloc(1), 0)).rejects.toMatchObject({ errno: "ESHUTDOWN" });
    await expect(open()).rejects.toMatchObject({ code: "NBD_REFUSED" });
    await expect(server.drain({ signal: AbortSignal.timeout(5) })).rejects.toMatchObject({ code: "NBD_ABORTED" });
    gate.resolve();
    await draining;
    await server.close();
    await flushing;
    expect(await client.closed).toMatchObject({ code: "NBD_CLOSED" });
  });
});
