import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Logger } from "@vdc-os/core";
import { definePlugin, type Handle, provides } from "@vdc-os/core";
import { Kernel, type KernelOptions, use } from "@vdc-os/core/kernel";
import { type IsolatedOptions, isolated } from "@vdc-os/core/remote";
import { afterEach, describe, expect, it } from "vitest";
import { pluginStateChanged } from "../../src/event/kernel-events.ts";
import { type Counter, counter, makeCounter } from "./counter-point.ts";
import plugin from "./fixtures/counter-plugin.ts";

const module = new URL("./fixtures/counter-plugin.ts", import.meta.url).href;
const fast: Partial<IsolatedOptions> = { restart: { firstBackOffMs: 20, maxBackOffMs: 100 } };

const kernels: Kernel[] = [];

afterEach(async () => {
  for (const kernel of kernels.splice(0)) await kernel.stop();
});

interface Run {
  readonly kernel: Kernel;
  readonly handle: Handle<Counter>;
  /** Resolves at the next time that the plugin is in a state. */
  readonly state: (state: string) => Promise<string>;
}

async function run(
  options: Partial<IsolatedOptions> = {},
  config: object = {},
  kernelOptions: KernelOptions = {},
  upstream: Counter = makeCounter({ echo: async ({ text }) => ({ text: `up ${text}` }) }),
): Promise<Run> {
  const kernel = new Kernel({
    ...kernelOptions,
    plugins: [use(isolated(plugin, { module, ...fast, ...options }), { config: { name: "c", ...config } })],
  });
  kernels.push(kernel);
  kernel.provide(counter, "upstream", upstream);
  await kernel.start();
  const state = (wanted: string): Promise<string> =>
    new Promise((resolve) => {
      const stop = kernel.events.on(pluginStateChanged, (change) => {
        if (change.from === undefined || change.to !== wanted) return;
        stop();
        resolve(change.reason);
      });
    });
  return { kernel, handle: kernel.get(counter, "c"), state };
}

async function isGone(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => undefined);
  return stat === undefined || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}

/** Waits until a condition holds; the test's own time limit bounds it. */
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("a plugin in a child process", () => {
  it("serves like the plugin itself, and uses what it requires over the same connection", async () => {
    const lines: string[] = [];
    const note = (message: string): void => void lines.push(message);
    const logger: Logger = { debug: note, info: note, warn: note, error: note, child: () => logger };
    const { handle } = await run({}, {}, { logger });
    expect(Number((await handle.echo({ text: "pid" })).text)).not.toBe(process.pid);
    expect(await handle.echo({ text: "x" })).toEqual({ text: "up child x" });
    expect(await handle.reset({ how: "" })).toBeUndefined();
    const items: number[] = [];
    for await (const item of handle.count({ to: 100 })) items.push(item.at);
    expect(items).toHaveLength(100);
    await expect(handle.reset({ how: "wait" }, { timeoutMs: 100 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    expect(lines).toContain("a plugin that prints must not disturb the channel");
    expect(lines).toContain("set up");
  });

  it("passes cancellation from the caller through the child to the parent's provider", async () => {
    const aborted = Promise.withResolvers<unknown>();
    const entered = Promise.withResolvers<void>();
    const upstream = makeCounter({
      echo: (_, called) => {
        called.signal.addEventListener("abort", () => aborted.resolve(called.signal.reason));
        entered.resolve();
        return new Promise(() => {});
      },
    });
    const { handle } = await run({}, {}, {}, upstream);
    const controller = new AbortController();
    const call = handle.echo({ text: "x" }, { signal: controller.signal });
    await entered.promise;
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await aborted.promise).toMatchObject({ code: "CANCELLED" });
  });

  it("fails calls with UNAVAILABLE when the child crashes, is degraded meanwhile, and comes back", async () => {
    const { handle, state } = await run();
    const first = (await handle.echo({ text: "pid" })).text;
    const degraded = state("degraded");
    const ready = state("ready");
    await expect(handle.reset({ how: "exit" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await degraded).toMatch(/exit code 9/);
    await ready;
    const second = (await handle.echo({ text: "pid" })).text;
    expect(second).not.toBe(first);
    expect(await isGone(Number(first))).toBe(true);
  });

  it("answers UNAVAILABLE, with the reason, while there is no child", async () => {
    const { handle, state } = await run({ restart: { firstBackOffMs: 60_000, maxBackOffMs: 60_000 } });
    const degraded = state("degraded");
    await handle.reset({ how: "exit" }).catch(() => {});
    await degraded;
    await expect(handle.echo({ text: "x" })).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_CHILD_DOWN" });
  });

  it("kills a child that hangs", async () => {
    // One that is well may have no turn on a busy machine for longer than half a second.
    const { handle, state } = await run({ heartbeatMs: 50, hangTimeoutMs: 2_000 });
    const pid = Number((await handle.echo({ text: "pid" })).text);
    const degraded = state("degraded");
    const ready = state("ready");
    await expect(handle.reset({ how: "hang" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await degraded).toMatch(/did not answer for 2000 ms/);
    await ready;
    expect(await isGone(pid)).toBe(true);
  });

  it("kills a child that leaks", async () => {
    const { handle, state } = await run({ heartbeatMs: 50, maxResidentBytes: 250 * 1024 * 1024 });
    const degraded = state("degraded");
    await handle.reset({ how: "leak" }).catch(() => {});
    expect(await degraded).toMatch(/bytes resident, more than its limit/);
  });

  it("passes on what the plugin says of its health", async () => {
    const { handle, state } = await run();
    const degraded = state("degraded");
    await handle.reset({ how: "degrade" });
    expect(await degraded).toBe("half of it is broken");
  });

  it("fails its start with the plugin's own error, and leaves no process", async () => {
    await expect(run({}, { failSetup: true })).rejects.toMatchObject({
      message: expect.stringContaining("the array is on fire"),
    });
    await expect(run({ module: "file:///no/such/module.js" })).rejects.toMatchObject({
      message: expect.stringContaining("no/such/module"),
    });
    const none = definePlugin({
      ...plugin.manifest,
      config: plugin.manifest.config!,
      provides: [provides(counter, { name: "other" })],
      setup() {},
    });
    await expect(
      (async () => {
        const kernel = new Kernel({ plugins: [use(isolated(none, { module }), { config: { name: "c" } })] });
        kernels.push(kernel);
        kernel.provide(counter, "upstream", makeCounter());
        await kernel.start();
      })(),
    ).rejects.toMatchObject({ message: expect.stringContaining("does not provide 'test.counter' as 'other'") });
  });

  it("releases everything in the child when it stops", async () => {
    const directory = await mkdtemp(join(tmpdir(), "vdc-iso-"));
    const marker = join(directory, "marker");
    const { kernel, handle } = await run({}, { marker });
    const pid = Number((await handle.echo({ text: "pid" })).text);
    const report = await kernel.stop();
    expect(report.ok).toBe(true);
    expect(await readFile(marker, "utf8")).toBe("released");
    expect(await isGone(pid)).toBe(true);
    await rm(directory, { recursive: true });
  });

  it("kills a child that does not stop", async () => {
    const { kernel, handle } = await run({ stopTimeoutMs: 500 });
    const pid = Number((await handle.echo({ text: "pid" })).text);
    handle.reset({ how: "hang" }).catch(() => {});
    await kernel.stop();
    expect(await isGone(pid)).toBe(true);
  });

  it.each(["idle", "hang"])("ends with its parent, even by kill -9: %s", async (how) => {
    const entry = fileURLToPath(new URL("./fixtures/parent.ts", import.meta.url));
    const parent: ChildProcess = spawn(process.execPath, [entry, how], { stdio: ["ignore", "pipe", "inherit"] });
    const [pid] = (await once(createInterface({ input: parent.stdout! }), "line")) as [string];
    expect(await isGone(Number(pid))).toBe(false);
    parent.kill("SIGKILL");
    await eventually(() => isGone(Number(pid)));
  });

  it("may be written in another language", async () => {
    if (spawnSync("python3", ["--version"]).status !== 0) {
      if (process.env.CI) throw new Error("python3 is needed for this test");
      console.warn("SKIPPED: a plugin in another language: there is no python3 here");
      return;
    }
    const manifest = definePlugin({
      name: "@test/python",
      version: "1.0.0",
      core: "0.1",
      summary: "Counts in Python.",
      provides: [provides(counter, { name: "py" })],
      setup() {},
    });
    const program = fileURLToPath(new URL("./fixtures/foreign.py", import.meta.url));
    const kernel = new Kernel({
      plugins: [use(isolated(manifest, { command: { command: "python3", args: [program] } }))],
    });
    kernels.push(kernel);
    await kernel.start();
    const handle = kernel.get(counter, "py");
    expect(await handle.echo({ text: "x" })).toEqual({ text: "python x" });
    const items: number[] = [];
    for await (const item of handle.count({ to: 5 })) items.push(item.at);
    expect(items).toEqual([1, 2, 3, 4, 5]);
    await expect(handle.reset({ how: "" })).rejects.toMatchObject({ code: "UNIMPLEMENTED", reason: "NOT_IN_PYTHON" });
  });
});
