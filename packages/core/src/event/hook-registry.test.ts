import { describe, expect, it } from "vitest";
import { HookRegistry } from "./hook-registry.ts";
import { defineHook } from "./hook-token.ts";

const options = { summary: "A test's." };
const first = defineHook<string, string>()({ ...options, id: "test.first", kind: "first" });
const collect = defineHook<string, string>()({ ...options, id: "test.collect", kind: "collect" });
const waterfall = defineHook<string, string>()({ ...options, id: "test.waterfall", kind: "waterfall" });
const notify = defineHook<string>()({ ...options, id: "test.notify", kind: "notify" });

describe("HookRegistry", () => {
  it("orders by before and after, then by plugin id, whoever came first", async () => {
    const hooks = new HookRegistry({ onListenerError: () => undefined });
    hooks.add(collect, () => "d", { plugin: "d", aliases: ["@x/d"] });
    hooks.add(collect, () => "c", { plugin: "c", after: ["@x/d"] });
    hooks.add(collect, () => "b", { plugin: "b" });
    hooks.add(collect, () => "a", { plugin: "a", after: ["b"] });
    expect(hooks.run(collect, "")).toEqual(["b", "a", "d", "c"]);
    expect(() => hooks.add(collect, () => "e", { plugin: "e", before: ["b"], after: ["c", "a"] })).toThrowError(
      /circle/,
    );
    expect(hooks.run(collect, "")).toEqual(["b", "a", "d", "c"]);
  });

  it("stays synchronous until a function is not", async () => {
    const hooks = new HookRegistry({ onListenerError: () => undefined });
    hooks.add(waterfall, (value) => `${value}a`, { plugin: "a" });
    hooks.add(waterfall, () => undefined, { plugin: "b" });
    expect(hooks.run(waterfall, "x")).toBe("xa");
    const leave = hooks.add(waterfall, async (value) => `${value}c`, { plugin: "c" });
    hooks.add(waterfall, (value) => `${value}d`, { plugin: "d" });
    const result = hooks.run(waterfall, "x");
    expect(result).toBeInstanceOf(Promise);
    expect(await result).toBe("xacd");
    leave();
    expect(hooks.run(waterfall, "x")).toBe("xad");
  });

  it("takes the first answer", async () => {
    const hooks = new HookRegistry({ onListenerError: () => undefined });
    const asked: string[] = [];
    hooks.add(first, async () => void asked.push("a"), { plugin: "a" });
    hooks.add(first, (input) => `${input} from b`, { plugin: "b" });
    hooks.add(first, () => void asked.push("c"), { plugin: "c" });
    expect(await hooks.run(first, "answer")).toBe("answer from b");
    expect(asked).toEqual(["a"]);
    expect(hooks.run(collect, "x")).toEqual([]);
  });

  it("isolates notify, and throws what another kind fails with under the plugin's name", async () => {
    const failures: (string | undefined)[] = [];
    const hooks = new HookRegistry({ onListenerError: ({ plugin }) => failures.push(plugin) });
    const heard: string[] = [];
    hooks.add(notify, () => Promise.reject(new Error("no")), { plugin: "a" });
    hooks.add(
      notify,
      () => {
        throw new Error("no");
      },
      { plugin: "b" },
    );
    hooks.add(notify, (input) => void heard.push(input), { plugin: "c" });
    await hooks.run(notify, "x");
    expect(heard).toEqual(["x"]);
    expect(failures).toEqual(["b", "a"]);
    hooks.add(first, async () => Promise.reject(new Error("broken")), { plugin: "a" });
    await expect(hooks.run(first, "x")).rejects.toMatchObject({
      plugin: "a",
      message: "hook 'test.first' of plugin 'a': broken",
    });
  });
});
