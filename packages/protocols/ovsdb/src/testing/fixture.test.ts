import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  DaemonFolder,
  findProgram,
  missingPrograms,
  startOpenVswitch,
  startOvnFabric,
  startOvsdbCluster,
  startOvsdbServer,
} from "./index.ts";

const missing = missingPrograms("ovn");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: that the daemons of Open vSwitch and OVN start in tests`);
}

/** A broadcast that carries a text. */
function broadcast(from: string, text: string): Buffer {
  const header = Buffer.from(`ffffffffffff${from.replaceAll(":", "")}88b5`, "hex");
  return Buffer.concat([header, Buffer.from(text.padEnd(46, "\0"))]);
}

/** Whether a process runs. One that is dead and not yet reaped, by a slow init, does not. */
function isAlive(pid: number | undefined): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe.skipIf(missing.length > 0)("fixtures", () => {
  it.each([false, true])("serve a database that survives a kill (clustered: %s)", async (clustered) => {
    let pid: number | undefined;
    {
      await using server = await startOvsdbServer({ source: { installedSchema: "vswitch" }, clustered });
      await server.transact({ op: "insert", table: "Open_vSwitch", row: { ovs_version: "kept" } });
      await server.kill();
      await expect(server.transact()).rejects.toThrow();
      await server.start();
      await server.untilConnected();
      expect(await server.dump()).toContain("kept");
      expect(await server.isLeader()).toBe(true);
      pid = server.daemon.pid;
      expect(isAlive(pid)).toBe(true);
    }
    expect(isAlive(pid)).toBe(false);
  });

  it("elect another leader when theirs is killed", async () => {
    await using cluster = await startOvsdbCluster({ source: { installedSchema: "ovn-nb" } });
    const first = await cluster.leader();
    await first.transact({ op: "insert", table: "Logical_Switch", row: { name: "kept" } });
    await first.kill();
    const second = await cluster.leader();
    expect(second.socketPath).not.toBe(first.socketPath);
    expect(await second.dump()).toContain("kept");
    await first.start();
    await first.untilConnected();
  });

  it("switch frames between dummy ports", async () => {
    await using ovs = await startOpenVswitch();
    await ovs.vsctl("add-br", "b0", "--", "set", "Bridge", "b0", "datapath_type=dummy");
    const one = await ovs.openPort({ bridge: "b0", name: "p1", settings: ["tag=10"] });
    const two = await ovs.openPort({ bridge: "b0", name: "p2", settings: ["trunks=10"] });
    const frame = broadcast("52:54:00:00:00:01", "hello");
    one.send(frame);
    const received = await two.receive();
    expect(received.readUInt32BE(12)).toBe(0x8100_000a);
    expect(Buffer.concat([received.subarray(0, 12), received.subarray(16)])).toEqual(frame);
    expect(await ovs.control("fdb/show", "b0")).toContain("52:54:00:00:00:01");
    await expect(two.receive({ timeoutMs: 1 })).rejects.toMatchObject({ code: "NOT_READY" });
    await expect(ovs.control("no/such/method")).rejects.toMatchObject({ code: "FAILED" });
  });

  it.each(["geneve", "vxlan"] as const)("carry a frame from one chassis to another over %s", async (encapsulation) => {
    await using fabric = await startOvnFabric({ encapsulation });
    const { nbctl } = fabric.central;
    await nbctl(
      "ls-add",
      "ls",
      "--",
      "lsp-add",
      "ls",
      "a",
      "--",
      "lsp-add",
      "ls",
      "b",
      "--",
      "lsp-set-addresses",
      "a",
      "unknown",
    );
    const [first, second] = fabric.chassis;
    const [a, b] = [
      await first?.openPort({ name: "vif-a", logicalPort: "a" }),
      await second?.openPort({ name: "vif-b", logicalPort: "b" }),
    ];
    await nbctl("--timeout=20", "wait-until", "Logical_Switch_Port", "b", "up=true");
    await fabric.central.sync();
    const frame = broadcast("52:54:00:00:00:0a", "over the tunnel");
    a?.send(frame);
    expect(await b?.receive({ matching: (each) => each.equals(frame) })).toEqual(frame);
  });

  it("say what a daemon said that did not come up, and leave nothing behind", async () => {
    await using folder = await DaemonFolder.create();
    const failing = folder.start({
      name: "failing",
      program: findProgram("ovsdb-server"),
      args: ["--nonsense"],
      ready: async () => false,
    });
    await expect(failing).rejects.toMatchObject({ code: "EXITED", message: expect.stringContaining("nonsense") });
    const hanging = folder.start({
      name: "hanging",
      program: "/bin/sleep",
      args: ["60"],
      ready: async () => false,
      startTimeoutMs: 50,
    });
    await expect(hanging).rejects.toMatchObject({ code: "NOT_READY" });
    await expect(
      folder.start({ name: "absent", program: "/no/such/program", args: [], ready: async () => false }),
    ).rejects.toMatchObject({
      code: "EXITED",
    });
    await folder[Symbol.asyncDispose]();
    expect(existsSync(folder.path)).toBe(false);
    await expect(folder.start({ name: "late", program: "/bin/sleep", args: ["60"] })).rejects.toMatchObject({
      code: "FAILED",
    });
  });

  it("go with a test process that is killed", async () => {
    const index = fileURLToPath(new URL("index.ts", import.meta.url));
    const script = `
      const { startOpenVswitch } = await import(${JSON.stringify(index)});
      const ovs = await startOpenVswitch();
      console.log(JSON.stringify([ovs.runDirectory, ovs.switchd.pid, ovs.database.daemon.pid]));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const [path, ...pids] = JSON.parse(line.toString()) as [string, number, number];
    expect(pids.map(isAlive)).toEqual([true, true]);
    child.kill("SIGKILL");
    await expect.poll(() => [existsSync(path), ...pids.map(isAlive)]).toEqual([false, false, false]);
  });
});
