import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ProcessStatus } from "@vdc-os/core/host/v1";
import type { StartHostRuntimeOptions } from "@vdc-os/host";
import { startHostRuntime } from "@vdc-os/host";
import { describe, expect, it } from "vitest";
import { context, echo, runs, TestHostDirectory, until } from "./host-fixture.ts";

const fast = { firstBackOffMs: 20, maxBackOffMs: 100 } satisfies Partial<StartHostRuntimeOptions>;

describe("a host runtime in this process", () => {
  it("tells what the host is, the same after a restart", async () => {
    await using directory = await TestHostDirectory.make();
    const first = await startHostRuntime({ directory: directory.path, address: "127.0.0.1" });
    const inventory = await first.runtime.inventory({}, context());
    expect(inventory.cpus).toBeGreaterThan(0);
    expect(inventory.memoryBytes).toBeGreaterThan(1e6);
    await expect(startHostRuntime({ directory: directory.path })).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    await first.close();
    await using again = await startHostRuntime({ directory: directory.path });
    expect(await again.runtime.inventory({}, context())).toEqual(inventory);
    await again.close();
    await expect(startHostRuntime({ directory: directory.path, hostId: "other" })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
  });

  it("runs a data plane, relays to it, and ends it in order", async () => {
    await using directory = await TestHostDirectory.make();
    await using host = await startHostRuntime({ directory: directory.path, ...fast });
    const { runtime } = host;
    const status = await runtime.ensureProcess(echo("a", { size: 3 }), context());
    expect(status).toMatchObject({ processId: "a", state: "running", restarts: 0 });
    expect(await runtime.ensureProcess(echo("a", { size: 3 }), context())).toEqual(status);
    const who = await runtime.request({ processId: "a", method: "who", params: null }, context());
    expect(who).toEqual({ pid: status.pid, owner: `dc-1/${host.hostId}/a`, config: { size: 3 } });
    await expect(runtime.request({ processId: "a", method: "fail", params: null }, context())).rejects.toMatchObject({
      code: "OUT_OF_RANGE",
    });
    await expect(runtime.request({ processId: "b", method: "who", params: null }, context())).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    const pieces: string[] = [];
    for await (const piece of runtime.readLog({ processId: "a" }, context())) pieces.push(piece.text);
    expect(pieces.join("")).toBe("echo plane a begins\n");
    const bred = (await runtime.request({ processId: "a", method: "breed", params: null }, context())) as number;
    expect(await runs(bred)).toBe(true);
    await runtime.removeProcess({ processId: "a" }, context());
    expect(await directory.pids()).toEqual([]);
    expect(await runs(bred)).toBe(false);
    expect(await runtime.listProcesses({}, context())).toEqual([]);
    await runtime.removeProcess({ processId: "a" }, context());
  });

  it("tells of an end and of what has ended together: never that it was started again, with the pid that is gone", async () => {
    await using directory = await TestHostDirectory.make();
    await using host = await startHostRuntime({ directory: directory.path, ...fast });
    const { runtime } = host;
    const { pid } = await runtime.ensureProcess(echo("a"), context());
    process.kill(pid as number, "SIGKILL");
    const told: ProcessStatus[] = [];
    for (let status: ProcessStatus | undefined; status?.restarts !== 1 || status.state !== "running"; ) {
      [status] = await runtime.listProcesses({}, context());
      if (status !== undefined) told.push(status);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(told.filter((status) => status.restarts === 1 && status.pid === pid)).toEqual([]);
    expect(told.some((status) => status.state === "backingOff")).toBe(true);
    await host.close({ removeProcesses: true });
  });

  it("starts a crashed process again, without what it left behind", async () => {
    await using directory = await TestHostDirectory.make();
    await using host = await startHostRuntime({ directory: directory.path, ...fast });
    const { runtime } = host;
    const first = await runtime.ensureProcess(echo("a"), context());
    const bred = (await runtime.request({ processId: "a", method: "breed", params: null }, context())) as number;
    const crash = runtime.request({ processId: "a", method: "crash", params: null }, context());
    await expect(crash).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const second = await until(runtime, "a", (status) => status.state === "running" && status.restarts === 1);
    expect(second.pid).not.toBe(first.pid);
    expect(second.lastExit).toBe("exit code 7");
    expect(await runs(bred)).toBe(false);
    process.kill(second.pid as number, "SIGKILL");
    const third = await until(runtime, "a", (status) => status.state === "running" && status.restarts === 2);
    expect(third.lastExit).toBe("signal SIGKILL");
    await host.close({ removeProcesses: true });
    expect(await directory.pids()).toEqual([]);
  });

  it("says why a process does not become ready, and goes on trying", async () => {
    await using directory = await TestHostDirectory.make();
    await using host = await startHostRuntime({ directory: directory.path, ...fast });
    const { runtime } = host;
    // Long enough for it to come to its crash, here and now.
    const startedAt = performance.now();
    await runtime.ensureProcess(echo("measured"), context());
    const readyTimeoutMs = Math.max(2_000, 4 * (performance.now() - startedAt));
    await expect(
      runtime.ensureProcess({ ...echo("bad", { crashAtStart: true }), readyTimeoutMs }, context(120_000)),
    ).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/'bad'.*exit code 3.*crashing as asked/s),
    });
    await until(runtime, "bad", (status) => status.restarts >= 2);
    await expect(
      runtime.ensureProcess({ ...echo("mute", { mute: true }), readyTimeoutMs: 300 }, context()),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const killed = await until(runtime, "mute", (status) => status.restarts >= 1);
    expect(killed.lastExit).toBe("signal SIGKILL");
    // Another spec for the same process.
    const good = await runtime.ensureProcess(echo("bad"), context());
    expect(good).toMatchObject({ state: "running", restarts: 0 });
    await host.close({ removeProcesses: true });
  });

  it("runs commands, once unless told otherwise", async () => {
    await using directory = await TestHostDirectory.make();
    await using host = await startHostRuntime({ directory: directory.path, ...fast });
    const { runtime } = host;
    const { owner } = echo("x");
    const command = (processId: string, name: string, ...args: string[]) =>
      ({ processId, owner, program: { kind: "command", command: name, args } }) as const;
    await runtime.ensureProcess(command("once", "sh", "-c", "echo hello; exit 5"), context());
    const ended = await until(runtime, "once", (status) => status.state === "exited");
    expect(ended.lastExit).toBe("exit code 5");
    expect(await runtime.ensureProcess(command("once", "sh", "-c", "echo hello; exit 5"), context())).toEqual(ended);
    await expect(runtime.ensureProcess(command("none", "/no/such/program"), context())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("ENOENT"),
    });
    const file = join(directory.path, "host.json");
    // A file that is no program, and more arguments than the system takes: some failures of a start are thrown, others told later.
    for (const [name, ...args] of [[file], ["true", "x".repeat(1 << 22)], [`${file}/true`]] as const) {
      const spec = { ...command("cannot", name, ...args), restart: "always" } as const;
      await expect(runtime.ensureProcess(spec, context())).rejects.toMatchObject({
        code: "FAILED_PRECONDITION",
        reason: "VDC_PROCESS_NOT_STARTED",
      });
      expect(await runtime.listProcesses({}, context())).toContainEqual(
        expect.objectContaining({ processId: "cannot", state: "exited", restarts: 0 }),
      );
    }
    await expect(
      runtime.ensureProcess({ ...echo("m"), program: { kind: "module", module: "@acme/none", config: {} } }, context()),
    ).rejects.toMatchObject({ reason: "VDC_MODULE_NOT_FOUND" });
    await expect(
      runtime.ensureProcess({ ...command("once", "true"), owner: { ...owner, datacenter: "dc-2" } }, context()),
    ).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_PROCESS_OF_ANOTHER_OWNER" });
    await runtime.ensureProcess(command("stubborn", "sh", "-c", "trap '' TERM; sleep 600 & wait"), context());
    await runtime.removeProcess({ processId: "stubborn", graceMs: 100 }, context());
    expect(await directory.pids()).toEqual([]);
  });

  it("adopts what runs, starts what should, and kills orphans", async () => {
    await using directory = await TestHostDirectory.make();
    const first = await startHostRuntime({ directory: directory.path, ...fast });
    const kept = await first.runtime.ensureProcess(echo("kept"), context());
    const gone = await first.runtime.ensureProcess(echo("gone"), context());
    const orphan = await first.runtime.ensureProcess(echo("orphan"), context());
    const damaged = await first.runtime.ensureProcess(echo("damaged"), context());
    await first.close();
    await expect(first.runtime.ensureProcess(echo("late"), context())).rejects.toMatchObject({ code: "UNAVAILABLE" });
    process.kill(gone.pid as number, "SIGKILL");
    await rm(join(directory.path, "processes/orphan.json"));
    await writeFile(join(directory.path, "processes/damaged.json"), "{");
    const second = await startHostRuntime({ directory: directory.path, ...fast });
    const { runtime } = second;
    expect(await until(runtime, "kept", (status) => status.state === "running")).toMatchObject({
      pid: kept.pid,
      restarts: 0,
    });
    const revived = await until(runtime, "gone", (status) => status.state === "running");
    expect(revived.restarts).toBe(1);
    expect([await runs(orphan.pid as number), await runs(damaged.pid as number)]).toEqual([false, false]);
    expect([...(await directory.pids())].sort()).toEqual([kept.pid, revived.pid].sort());
    // An adopted process is watched like any other.
    process.kill(kept.pid as number, "SIGKILL");
    await until(runtime, "kept", (status) => status.state === "running" && status.restarts === 1);
    await second.close({ removeProcesses: true });
    expect(await directory.pids()).toEqual([]);
  });

  it("refuses a folder whose sockets would not fit", async () => {
    await using directory = await TestHostDirectory.make();
    const deep = join(directory.path, "d".repeat(100));
    await expect(startHostRuntime({ directory: deep })).rejects.toMatchObject({ reason: "VDC_SOCKET_PATH_TOO_LONG" });
    const real = join(directory.path, "real");
    await mkdir(real);
    await symlink(real, join(directory.path, "link"));
    await using host = await startHostRuntime({ directory: join(directory.path, "link") });
    expect((await host.runtime.inventory({}, context())).directory).toBe(real);
  });
});
