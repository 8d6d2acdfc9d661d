import { describe, expect, it } from "vitest";
import { z } from "zod";
import { pluginStateChanged } from "../event/kernel-events.ts";
import { definePlugin, type Plugin } from "../plugin/define-plugin.ts";
import { fromConfig, one, provides } from "../plugin/requirement.ts";
import { createTestClock } from "../testing/test-clock.ts";
import { createTestKernel } from "../testing/create-test-kernel.ts";
import { use } from "./plugin-registration.ts";
import { greeter, makeGreeter } from "./test/greeter-point.ts";

const config = z.object({ name: z.string().default("main"), greeting: z.string().min(1) });

/** A greeter that fails to start with the greeting `bad`, and whose `greet` waits for the gate. */
function gated(log: string[], gate: () => Promise<void> = async () => undefined): Plugin {
  return definePlugin({
    name: "gated",
    version: "1.0.0",
    core: "0.1",
    summary: "A test's.",
    provides: [provides(greeter, { name: fromConfig("name") })],
    config,
    setup(context, { name, greeting }) {
      log.push(`up ${greeting}`);
      context.defer("x", () => void log.push(`down ${greeting}`));
      if (greeting === "bad") throw new Error("bad greeting");
      const greet = async (input: { readonly name: string }): Promise<{ text: string }> => {
        await gate();
        return { text: `${greeting}, ${input.name}` };
      };
      context.provide(greeter, makeGreeter(greeting, { greet }), { name });
    },
  });
}

const hello = { config: { greeting: "hello" } };

describe("reconfigure", () => {
  it("lets calls in flight finish on the old instance and later ones reach the new one", async () => {
    const log: string[] = [];
    let gate: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
    const kernel = await createTestKernel({
      plugins: [
        use(
          gated(log, async () => gate?.promise),
          hello,
        ),
      ],
    });
    const handle = kernel.get(greeter);
    const old = handle.greet({ name: "a" });
    const changing = kernel.reconfigure("gated", { greeting: "bye" });
    await kernel.events.once(pluginStateChanged, { matches: ({ to }) => to === "stopping" });
    const later = handle.greet({ name: "b" });
    gate.resolve();
    gate = undefined;
    expect(await old).toEqual({ text: "hello, a" });
    expect(await later).toEqual({ text: "bye, b" });
    await changing;
    expect(log).toEqual(["up hello", "down hello", "up bye"]);
    expect(kernel.status("gated").state).toBe("ready");
  });

  it("checks the config before anything is torn down", async () => {
    const log: string[] = [];
    const kernel = await createTestKernel({ plugins: [use(gated(log), hello)] });
    await expect(kernel.reconfigure("gated", { greeting: "" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "VDC_PLUGIN_CONFIG_INVALID",
    });
    expect(log).toEqual(["up hello"]);
    expect(await kernel.get(greeter).greet({ name: "x" })).toEqual({ text: "hello, x" });
  });

  it("puts the previous config back when the plugin does not come up with the new one", async () => {
    for (const overlap of [false, true]) {
      const log: string[] = [];
      const kernel = await createTestKernel({ plugins: [use(gated(log), hello)] });
      await expect(kernel.reconfigure("gated", { greeting: "bad" }, { overlap })).rejects.toThrowError("bad greeting");
      expect(await kernel.get(greeter).greet({ name: "x" })).toEqual({ text: "hello, x" });
      expect(log).toEqual(
        overlap ? ["up hello", "up bad", "down bad"] : ["up hello", "down hello", "up bad", "down bad", "up hello"],
      );
      await kernel.stop();
      expect(log.at(-1)).toBe("down hello");
    }
  });

  it("refuses what would leave a dependent without its provider", async () => {
    const user = definePlugin({
      name: "user",
      version: "1.0.0",
      core: "0.1",
      summary: "Uses a greeter.",
      requires: { greeter: one(greeter, { name: "main" }) },
      setup() {},
    });
    const log: string[] = [];
    const kernel = await createTestKernel({ plugins: [use(gated(log), hello), user] });
    await expect(kernel.reconfigure("gated", { name: "other", greeting: "x" })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      blockers: [{ kind: "plugin", name: "user" }],
    });
    expect(log).toEqual(["up hello"]);
  });
});

describe("replace", () => {
  it("puts another plugin in place under stable handles, side by side when asked to", async () => {
    const log: string[] = [];
    const kernel = await createTestKernel({ plugins: [use(gated(log), hello)] });
    const handle = kernel.get(greeter);
    const { greet } = { greet: handle.greet.bind(handle) };
    const next = { ...gated(log), manifest: { ...gated(log).manifest, version: "2.0.0" } };
    Object.defineProperty(next, Symbol.for("vdc-os.plugin"), { value: 1 });
    await kernel.replace("gated", next, { config: { greeting: "v2" }, overlap: true });
    expect(await greet({ name: "x" })).toEqual({ text: "v2, x" });
    expect(log).toEqual(["up hello", "up v2", "down hello"]);
  });

  it("drains no longer than its deadline: what is still in flight then is ended", async () => {
    const clock = createTestClock();
    const kernel = await createTestKernel({
      clock,
      plugins: [
        use(
          gated([], () => new Promise(() => undefined)),
          { ...hello, deadlines: { drain: 100 } },
        ),
      ],
    });
    const stuck = expect(kernel.get(greeter).greet({ name: "x" }, { timeoutMs: 60_000 })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      reason: "VDC_PLUGIN_STOPPED",
      plugin: "gated",
    });
    const replacing = kernel.replace("gated", gated([]));
    await clock.advance(300);
    await replacing;
    await stuck;
    expect(await kernel.get(greeter).greet({ name: "x" })).toEqual({ text: "hello, x" });
  });
});

describe("retry", () => {
  it("starts a quarantined plugin again, and what it had blocked", async () => {
    let works = false;
    const flaky = definePlugin({
      name: "flaky",
      version: "1.0.0",
      core: "0.1",
      summary: "Fails at first.",
      provides: [provides(greeter, { name: "main" })],
      setup(context) {
        if (!works) throw new Error("not yet");
        context.provide(greeter, makeGreeter("finally"));
      },
    });
    const user = definePlugin({
      name: "user",
      version: "1.0.0",
      core: "0.1",
      summary: "Uses it.",
      requires: { greeter: one(greeter) },
      setup() {},
    });
    const kernel = await createTestKernel({
      plugins: [use(flaky, { policy: "quarantine" }), use(user, { policy: "quarantine" })],
    });
    expect(kernel.statuses().map(({ state }) => state)).toEqual(["failed", "blocked"]);
    expect(kernel.status("user").waitsFor).toEqual(["flaky"]);
    await expect(kernel.get(greeter, "main").greet({ name: "x" })).rejects.toThrowError(
      /plugin 'flaky' is failed \(not yet\)/,
    );
    await expect(kernel.retry("flaky")).rejects.toThrowError("not yet");
    works = true;
    await kernel.retry("flaky");
    expect(kernel.statuses().map(({ state }) => state)).toEqual(["ready", "ready"]);
    expect(await kernel.get(greeter).greet({ name: "x" })).toEqual({ text: "finally, x" });
    await expect(kernel.retry("flaky")).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });
});
