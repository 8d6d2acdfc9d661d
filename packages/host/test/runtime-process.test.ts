import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { signalProcess } from "@vdc-os/core/local";
import { secretStore } from "@vdc-os/core/secret/v1";
import { connectHostRuntime, spawnHostRuntime, sweepHostDirectory } from "@vdc-os/host";
import { describe, expect, it } from "vitest";
import { context, echo, runs, TestHostDirectory, until } from "./host-fixture.ts";

const fast = { firstBackOffMs: 20, maxBackOffMs: 100 };

/** A generator of numbers in [0, 1) that repeats itself: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Waits until a condition holds; the test's own time limit bounds it. */
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe("a host runtime in a process of its own", () => {
  it("is reached over a socket of mode 0600, outlives its manager's connection, and is adopted", async () => {
    await using directory = await TestHostDirectory.make();
    const first = await spawnHostRuntime({ directory: directory.path, ...fast });
    expect((await stat(join(directory.path, "run/host.sock"))).mode & 0o777).toBe(0o600);
    const status = await first.runtime.ensureProcess(echo("a"), context());
    expect(await first.runtime.request({ processId: "a", method: "echo", params: { deep: [1] } }, context())).toEqual({
      deep: [1],
    });
    await first.close();
    const second = await spawnHostRuntime({ directory: directory.path, ...fast });
    expect([second.pid, second.hostId]).toEqual([first.pid, first.hostId]);
    expect(await second.runtime.listProcesses({}, context())).toEqual([status]);
    await second.stop();
    expect(await runs(status.pid as number)).toBe(true);
    await expect(connectHostRuntime(directory.path)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const third = await spawnHostRuntime({ directory: directory.path, ...fast });
    expect(third.pid).not.toBe(first.pid);
    expect((await until(third.runtime, "a", (now) => now.state === "running")).pid).toBe(status.pid);
    await third.stop({ removeProcesses: true });
    expect(await directory.pids()).toEqual([]);
  });

  it("runs the host's plugins, which use the host, and serves what they provide", async () => {
    await using directory = await TestHostDirectory.make();
    const module = new URL("./fixtures/host-plugin.ts", import.meta.url).href;
    await using host = await spawnHostRuntime({ directory: directory.path, hostId: "host-7", plugins: [{ module }] });
    expect(host.connection.peer.providers.map(({ point, name }) => `${point} ${name}`)).toContain(
      `${secretStore.id} local`,
    );
    const described = await host.connection.proxy(secretStore, "local").describe({ scope: {} }, context());
    expect(described.implementation.name).toBe("host-7");
  });

  it("says why it did not start", async () => {
    await using directory = await TestHostDirectory.make();
    await expect(
      spawnHostRuntime({ directory: directory.path, plugins: [{ module: "file:///no/such/plugin.js" }] }),
    ).rejects.toMatchObject({ code: "UNAVAILABLE", message: expect.stringMatching(/exit code 1.*no\/such\/plugin/s) });
  });

  it.each(["ephemeral", "durable"])("ends with its killed manager when it is ephemeral: %s", async (kind) => {
    await using directory = await TestHostDirectory.make();
    const entry = fileURLToPath(new URL("./fixtures/manager.ts", import.meta.url));
    const manager: ChildProcess = spawn(process.execPath, [entry, directory.path, kind], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(createInterface({ input: manager.stdout! }), "line")) as [string];
    const pids = JSON.parse(line) as { runtime: number; process: number };
    manager.kill("SIGKILL");
    await once(manager, "exit");
    if (kind === "ephemeral") {
      await eventually(async () => (await directory.pids()).length === 0);
    } else {
      await using again = await connectHostRuntime(directory.path);
      expect(again.pid).toBe(pids.runtime);
      expect(await runs(pids.process)).toBe(true);
    }
  });

  it("converges after kill -9 of the runtime and of processes at any moment: nothing leaks, nothing runs twice", async () => {
    await using directory = await TestHostDirectory.make();
    const random = seeded(2026);
    const rounds = process.env.VDC_DEEP ? 60 : 6;
    for (let round = 0; round < rounds; round++) {
      const host = await spawnHostRuntime({ directory: directory.path, ...fast });
      const asked = ["a", "b", "c"].map((processId) =>
        random() < 0.3
          ? host.runtime.removeProcess({ processId, graceMs: 100 }, context())
          : host.runtime.ensureProcess(echo(processId, { round: Math.floor(random() * 2) }), context()),
      );
      const settled = Promise.allSettled(asked);
      await new Promise((resolve) => setTimeout(resolve, random() * 400));
      if (random() < 0.5) {
        const others = (await directory.processes()).filter(({ pid }) => pid !== host.pid);
        const victim = others[Math.floor(random() * others.length)];
        // It may have ended by now.
        if (victim !== undefined) await signalProcess(victim, "SIGKILL");
      }
      process.kill(host.pid, "SIGKILL");
      await settled;
      await host.closed;
      await eventually(async () => !(await runs(host.pid)));
    }
    const host = await spawnHostRuntime({ directory: directory.path, ...fast });
    await host.runtime.ensureProcess(echo("a"), context());
    await host.runtime.removeProcess({ processId: "b", graceMs: 100 }, context());
    await host.runtime.ensureProcess(echo("c"), context());
    const statuses = await host.runtime.listProcesses({}, context());
    expect(statuses.map(({ processId, state }) => `${processId} ${state}`)).toEqual(["a running", "c running"]);
    const expected = [host.pid, ...statuses.map((status) => status.pid as number)];
    expect([...(await directory.pids())].sort()).toEqual([...expected].sort());
    await host.stop({ removeProcesses: true });
    expect(await directory.pids()).toEqual([]);
  });

  it("starts one runtime for a folder, however many ask", async () => {
    await using directory = await TestHostDirectory.make();
    const hosts = await Promise.all([1, 2, 3].map(() => spawnHostRuntime({ directory: directory.path })));
    expect(new Set(hosts.map((host) => host.pid)).size).toBe(1);
    await eventually(async () => (await directory.pids()).length === 1);
    for (const host of hosts) await host.close();
  });

  it("is swept with everything that it runs", async () => {
    await using directory = await TestHostDirectory.make();
    const host = await spawnHostRuntime({ directory: directory.path, ...fast });
    await host.runtime.ensureProcess(echo("a"), context());
    await host.runtime.request({ processId: "a", method: "breed", params: null }, context());
    expect(await sweepHostDirectory(directory.path)).toEqual({ killed: 3 });
    expect(await directory.pids()).toEqual([]);
    expect(await sweepHostDirectory(directory.path)).toEqual({ killed: 0 });
    const again = await spawnHostRuntime({ directory: directory.path, ...fast });
    expect(again.hostId).toBe(host.hostId);
    expect(await again.runtime.listProcesses({}, context())).toEqual([]);
    await again.stop();
  });
});
