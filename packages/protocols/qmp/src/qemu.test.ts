import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingPrograms } from "@vdc-os/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectQmp } from "./connect-qmp.ts";

const QEMU = "qemu-system-x86_64";
const skip = missingPrograms([QEMU], "the QMP client is not judged against QEMU");

describe.skipIf(skip)("QmpClient with QEMU", () => {
  let folder: string;
  let path: string;
  let qemu: ChildProcess;
  let exited: Promise<unknown>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "qmp-qemu-"));
    path = join(folder, "qmp.sock");
    const machine = ["-S", "-M", "none", "-display", "none", "-nodefaults"];
    qemu = spawn(QEMU, [...machine, "-qmp", `unix:${path},server=on,wait=off`], { stdio: "ignore" });
    exited = once(qemu, "exit");
  });

  afterEach(async () => {
    qemu.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  });

  test("queries, changes and ends a machine", async () => {
    const client = await connectQmp(path);
    expect(client.version.qemu.major).toBeGreaterThanOrEqual(5);
    expect(client.capabilities).toContain("oob");
    expect(await client.execute("query-version")).toEqual(client.version);
    expect(await client.execute("query-status")).toMatchObject({ status: "prelaunch", running: false });
    expect(await client.execute("query-blockstats")).toEqual([]);
    expect(await client.execute("human-monitor-command", { "command-line": "info status" })).toContain("paused");

    await client.execute("blockdev-add", { driver: "null-co", "node-name": "disk0", size: 1 << 20 });
    const stats = await client.execute("query-blockstats", { "query-nodes": true });
    expect(stats.map((node) => node["node-name"])).toEqual(["disk0"]);
    expect(stats[0]?.stats.rd_bytes).toBe(0);
    await client.execute("blockdev-del", { "node-name": "disk0" });

    const resumed = client.waitForEvent("RESUME");
    await client.execute("cont");
    await resumed;
    expect(await client.execute("query-status")).toMatchObject({ status: "running", running: true });

    await expect(client.execute("blockdev-del", { "node-name": "disk0" })).rejects.toMatchObject({
      code: "QMP_COMMAND_FAILED",
      details: { class: "GenericError" },
    });
    await expect(client.execute("no-such-command")).rejects.toMatchObject({ details: { class: "CommandNotFound" } });

    const shutdown = client.waitForEvent("SHUTDOWN");
    await client.execute("quit");
    expect((await shutdown).data).toEqual({ guest: false, reason: "host-qmp-quit" });
    expect(await client.closed).toBeUndefined();
    await exited;
  });

  test("a client that closes leaves QEMU to the next one; a second client meanwhile is not greeted", async () => {
    const first = await connectQmp(path, { outOfBand: true });
    await expect(connectQmp(path, { timeoutMs: 100 })).rejects.toMatchObject({ code: "QMP_TIMEOUT" });
    first.close();
    const second = await connectQmp(path);
    expect(await second.execute("query-status")).toMatchObject({ status: "prelaunch" });
    second.close();
  });

  test("a killed QEMU ends what is in flight", async () => {
    const client = await connectQmp(path);
    const waiting = expect(client.waitForEvent("SHUTDOWN")).rejects.toMatchObject({ code: "QMP_CLOSED" });
    qemu.kill("SIGKILL");
    await waiting;
  });
});
