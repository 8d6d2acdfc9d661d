import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { VdcError } from "../error/vdc-error.ts";
import { pluginStateChanged } from "../event/kernel-events.ts";
import { definePlugin, type Plugin } from "../plugin/define-plugin.ts";
import type { PluginContext } from "../plugin/plugin-context.ts";
import { all, one, provides } from "../plugin/requirement.ts";
import { createTestClock } from "../testing/test-clock.ts";
import { createTestKernel } from "../testing/create-test-kernel.ts";
import { Kernel } from "./kernel.ts";
import { use } from "./plugin-registration.ts";
import type { StartError } from "./start-report.ts";
import { greeter, greeterPlugin, makeGreeter, plainPlugin } from "./test/greeter-point.ts";

const failing = (name: string): Plugin =>
  plainPlugin(name, () => {
    throw new Error("no power");
  });

function consumer(name: string, log: string[] = []): Plugin {
  return definePlugin({
    name,
    version: "1.0.0",
    core: "0.1",
    summary: "Uses a greeter.",
    requires: { greeter: one(greeter, { name: "main" }) },
    async setup(context) {
      log.push((await context.requires.greeter.greet({ name })).text);
      context.defer("consumer", () => void log.push(`${name} released`));
    },
  });
}

describe("start", () => {
  it("starts providers before consumers and stops them after", async () => {
    const log: string[] = [];
    const kernel = new Kernel({ plugins: [use(consumer("c", log)), use(greeterPlugin)] });
    const changes: string[] = [];
    kernel.events.on(pluginStateChanged, ({ plugin, from, to }) => void changes.push(`${plugin} ${from}>${to}`));
    const report = await kernel.start();
    expect(report.ok).toBe(true);
    expect(String(report)).toMatch(/^started in .*: 2 ready\n└─ greeter-plugin {2}ready.*\n {3}└─ c {2}ready/);
    const stopped = await kernel.stop();
    expect(stopped.plugins.map(({ id }) => id)).toEqual(["c", "greeter-plugin"]);
    expect(log).toEqual(["hello, c", "c released"]);
    expect(changes).toEqual([
      "c undefined>registered",
      "greeter-plugin undefined>registered",
      "greeter-plugin registered>starting",
      "greeter-plugin starting>ready",
      "c registered>starting",
      "c starting>ready",
      "c ready>stopping",
      "c stopping>stopped",
      "greeter-plugin ready>stopping",
      "greeter-plugin stopping>stopped",
    ]);
    await kernel.start();
    expect(kernel.status("c").state).toBe("ready");
    await kernel.stop();
  });

  it("starts independent plugins side by side", async () => {
    const gate = Promise.withResolvers<void>();
    let waiting = 0;
    const plugin = (name: string): Plugin =>
      plainPlugin(name, async () => {
        waiting++;
        if (waiting === 3) gate.resolve();
        await gate.promise;
      });
    await createTestKernel({ plugins: [plugin("a"), plugin("b"), plugin("c")] });
    expect(waiting).toBe(3);
  });

  it("goes on without an optional plugin, and says what a blocked one waits for", async () => {
    const kernel = await createTestKernel({
      plugins: [
        use(failing("bad"), { policy: "optional" }),
        use(consumer("c"), { policy: "quarantine" }),
        plainPlugin("good"),
      ],
    });
    expect(kernel.statuses().map(({ id, state }) => `${id} ${state}`)).toEqual([
      "bad failed",
      "c blocked",
      "good ready",
    ]);
    expect(kernel.status("bad").cause).toMatchObject({ code: "UNKNOWN", message: "no power", plugin: "bad" });
    expect(kernel.status("c").waitsFor).toEqual(["test.greeter 'main'"]);
    const late: string[] = [];
    kernel.events.on(pluginStateChanged, ({ plugin, to }) => void late.push(`${plugin} ${to}`));
    expect(late).toEqual(["bad failed", "c blocked", "good ready"]);
  });

  it("starts a blocked plugin when what it waits for comes", async () => {
    const kernel = await createTestKernel({ plugins: [use(consumer("c"), { policy: "quarantine" })] });
    const ready = kernel.events.once(pluginStateChanged, {
      matches: ({ plugin, to }) => plugin === "c" && to === "ready",
    });
    kernel.provide(greeter, "main", makeGreeter("late"));
    await ready;
  });

  it("rejects with the same report when a required plugin fails, after stopping what had started", async () => {
    const released: string[] = [];
    const owner = plainPlugin("owner", (context) => context.defer("x", () => void released.push("owner")));
    const half = plainPlugin("half", (context) => {
      context.defer("one", () => void released.push("one"));
      context.defer("two", () => void released.push("two"));
      throw new Error("half-way");
    });
    const kernel = new Kernel({ plugins: [use(owner), use(half)] });
    const error = (await kernel.start().catch((cause: unknown) => cause)) as StartError;
    expect(error).toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_KERNEL_START_FAILED" });
    expect(error.report.ok).toBe(false);
    expect(error.report.plugins.map(({ id, state }) => [id, state])).toEqual([
      ["owner", "stopped"],
      ["half", "failed"],
    ]);
    expect(error.message).toContain("half-way");
    expect(released.sort()).toEqual(["one", "owner", "two"]);
    expect(kernel.status("half").cause?.plugin).toBe("half");
  });

  it("runs no plugin's code when the plan rejects a required one", async () => {
    let ran = false;
    const witness = plainPlugin("a", () => {
      ran = true;
    });
    const kernel = new Kernel({ plugins: [use(witness), use(consumer("c"))] });
    await expect(kernel.start()).rejects.toMatchObject({ reason: "VDC_KERNEL_START_FAILED" });
    expect(ran).toBe(false);
    expect(kernel.status("c").state).toBe("blocked");
  });

  it("gives up a setup at its deadline, and refuses what it registers later", async () => {
    const clock = createTestClock();
    const gate = Promise.withResolvers<void>();
    const late = Promise.withResolvers<unknown>();
    const released: string[] = [];
    const hanging = plainPlugin("hanging", async (context) => {
      const acquired = context.acquire(
        "late",
        () => gate.promise,
        () => void released.push("late"),
      );
      late.resolve(acquired.then(() => "acquired").catch((error: VdcError) => error.reason));
      await new Promise(() => undefined);
    });
    const kernel = new Kernel({
      clock,
      plugins: [use(hanging, { policy: "optional", deadlines: { start: 1_000 } }), use(plainPlugin("good"))],
    });
    const starting = kernel.start();
    await clock.advance(1_000);
    const report = await starting;
    expect(report.plugins.map(({ state }) => state)).toEqual(["failed", "ready"]);
    expect(report.plugins[0]?.cause).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "VDC_PLUGIN_START_TIMEOUT" });
    expect(report.plugins[0]?.phases.start).toBe(1_000);
    gate.resolve();
    expect(await late.promise).toBe("VDC_PLUGIN_SEALED");
    expect(released).toEqual(["late"]);
    await kernel.stop();
    expect(clock.pending).toBe(0);
  });

  it("gives up a config check at its deadline", async () => {
    const clock = createTestClock();
    const slow = definePlugin({
      name: "slow",
      version: "1.0.0",
      core: "0.1",
      summary: "Its schema hangs.",
      config: z.object({}).refine(() => new Promise<boolean>(() => undefined)),
      setup() {},
    });
    const kernel = new Kernel({ clock, plugins: [use(slow, { config: {} })] });
    const starting = kernel.start().catch((error: StartError) => error.report.plugins[0]?.cause?.reason);
    await clock.advance(2_000);
    expect(await starting).toBe("VDC_PLUGIN_CONFIG_TIMEOUT");
  });

  it("is given up by stop and by its signal", async () => {
    for (const how of ["stop", "signal"]) {
      const released: string[] = [];
      const running = Promise.withResolvers<void>();
      const hanging = plainPlugin("hanging", async (context) => {
        context.defer("x", () => void released.push("x"));
        running.resolve();
        await new Promise(() => undefined);
      });
      const kernel = new Kernel({ plugins: [use(plainPlugin("good")), use(hanging)] });
      const controller = new AbortController();
      const starting = kernel.start({ signal: controller.signal }).catch((error: StartError) => error.report);
      await running.promise;
      if (how === "stop") await kernel.stop();
      else controller.abort();
      const report = await starting;
      expect(report.plugins.map(({ id, state }) => `${id} ${state}`)).toEqual(["good stopped", "hanging failed"]);
      expect(released).toEqual(["x"]);
    }
  });

  it("starts a chain of thousands without filling the stack", async () => {
    const chain = Array.from({ length: 3_000 }, (_, index) =>
      plainPlugin(`p${index}`, undefined, index === 0 ? {} : { after: [`p${index - 1}`] }),
    );
    const kernel = await createTestKernel({ plugins: chain });
    expect(kernel.status("p2999").state).toBe("ready");
  });
});

describe("ownership", () => {
  it("aborts, seals, and releases in reverse, one after the other; errors are gathered", async () => {
    const log: string[] = [];
    let kept: PluginContext | undefined;
    const plugin = plainPlugin("p", async (context) => {
      kept = context;
      context.signal.addEventListener("abort", () => log.push("aborted"));
      context.defer("first", () => void log.push("first"));
      await context.acquire(
        "second",
        () => "resource",
        async (resource) => {
          expect(() => context.defer("late", () => undefined)).toThrowError(/was stopped/);
          await Promise.resolve();
          log.push(resource);
        },
      );
      context.defer("third", () => {
        throw new Error("stuck");
      });
    });
    const kernel = new Kernel({ plugins: [use(plugin)] });
    await kernel.start();
    const report = await kernel.stop();
    expect(log).toEqual(["aborted", "resource", "first"]);
    expect(report.ok).toBe(false);
    expect(report.plugins[0]?.errors).toMatchObject([{ label: "third", error: { message: "stuck", plugin: "p" } }]);
    expect(String(report)).toContain("not released: third: stuck");
    expect(() => kept?.on(pluginStateChanged, () => undefined)).toThrowError(/was stopped/);
  });

  it("does not let a disposer that hangs hold up the rest for longer than the deadline", async () => {
    const clock = createTestClock();
    const log: string[] = [];
    const plugin = plainPlugin("p", (context) => {
      context.defer("last", () => void log.push("last"));
      context.defer("hangs", () => new Promise(() => undefined));
    });
    const kernel = new Kernel({ clock, plugins: [use(plugin, { deadlines: { stop: 300 } })] });
    await kernel.start();
    const stopping = kernel.stop();
    await clock.advance(300);
    const report = await stopping;
    expect(report.plugins[0]).toMatchObject({
      slow: [{ label: "hangs", durationMs: 300 }],
      errors: [{ label: "hangs", error: { reason: "VDC_RELEASE_TIMEOUT" } }],
    });
    expect(log).toEqual(["last"]);
  });

  it("refuses what the manifest does not declare, and misses what it does", async () => {
    const base = { version: "1.0.0", core: "0.1", summary: "Wrong." };
    const undeclared = definePlugin({
      ...base,
      name: "undeclared",
      setup: (context) => context.provide(greeter, makeGreeter("x")),
    });
    const missing = definePlugin({
      ...base,
      name: "missing",
      provides: [provides(greeter, { name: "m" })],
      setup() {},
    });
    const kernel = await createTestKernel({
      plugins: [use(undeclared, { policy: "optional" }), use(missing, { policy: "optional" })],
    });
    expect(kernel.status("undeclared").cause?.reason).toBe("VDC_PROVISION_UNDECLARED");
    expect(kernel.status("missing").cause?.reason).toBe("VDC_PROVISION_MISSING");
  });

  it("shows degradation as a state", async () => {
    let context: PluginContext | undefined;
    const plugin = plainPlugin("p", (given) => {
      context = given;
    });
    const kernel = await createTestKernel({ plugins: [plugin] });
    context?.degraded("one path down");
    expect(kernel.status("p")).toMatchObject({ state: "degraded", reason: "one path down" });
    context?.degraded(undefined);
    expect(kernel.status("p").state).toBe("ready");
  });
});

describe("requirements", () => {
  it("gives all providers as a live directory", async () => {
    let names: (() => readonly string[]) | undefined;
    const user = definePlugin({
      name: "user",
      version: "1.0.0",
      core: "0.1",
      summary: "Uses all.",
      requires: { greeters: all(greeter) },
      setup(context) {
        const { greeters } = context.requires;
        names = () => greeters.names();
        expect(() => greeters.get("nobody")).toThrowError(/there is 'main'/);
      },
    });
    const kernel = await createTestKernel({ plugins: [user, greeterPlugin] });
    expect(names?.()).toEqual(["main"]);
    const added = kernel.provide(greeter, "another", makeGreeter("x"));
    expect(names?.()).toEqual(["another", "main"]);
    await added.remove();
    expect(kernel.all(greeter).names()).toEqual(["main"]);
  });
});
