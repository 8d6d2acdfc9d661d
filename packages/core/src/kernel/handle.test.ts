import { describe, expect, it } from "vitest";
import { coreVersion } from "../core-version.ts";
import type { OperationContext } from "../context/operation-context.ts";
import { VdcError } from "../error/vdc-error.ts";
import { contractAdapter } from "../extension-point/contract-adapter.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Handle } from "../extension-point/handle.ts";
import { createTestClock } from "../testing/test-clock.ts";
import { createTestKernel } from "../testing/create-test-kernel.ts";
import { fake } from "../testing/fake.ts";
import type { KernelOptions } from "./kernel-options.ts";
import { defineGreeter, type Greeter, greeter, greeterPlugin, makeGreeter } from "./test/greeter-point.ts";

async function handleOn(different: Partial<Greeter> = {}, options: KernelOptions = {}): Promise<Handle<Greeter>> {
  const kernel = await createTestKernel({ ...options, plugins: [] });
  kernel.provide(greeter, "g", makeGreeter("hello", different));
  return kernel.get(greeter, "g");
}

async function readAll<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const wrongOutput: Partial<Greeter> = { greet: async () => ({ txt: "?" }) as never };

describe("calls", () => {
  it("reach the provider with and without options, and with a context that is passed on", async () => {
    let seen: OperationContext | undefined;
    const greet: Greeter["greet"] = async ({ name }, context) => {
      seen = context;
      return { text: name };
    };
    const kernel = await createTestKernel({ fakes: [fake(greeter, "g", { greet })], validation: "none" });
    const handle = kernel.get(greeter);
    expect(await handle.greet({ name: "a" })).toEqual({ text: "a" });
    expect(seen?.tenant).toBe("default");
    await handle.greet({ name: "b" }, { tenant: "acme", timeoutMs: 1_000 });
    expect(seen?.tenant).toBe("acme");
    expect(seen?.deadline).toBeGreaterThan(0);
    const context = kernel.operation({ tenant: "passed-on" });
    await handle.greet({ name: "c" }, context);
    expect(seen).toBe(context);
    expect(handle.name).toBe("g");
    expect(handle.point).toBe(greeter);
  });

  it("says why there is no provider, and finds one that comes later", async () => {
    const kernel = await createTestKernel();
    const handle = kernel.get(greeter, "g");
    await expect(handle.greet({ name: "x" })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: "provider 'g' of 'test.greeter' is not there: no plugin provides it",
    });
    await expect(readAll(handle.count({ to: 1 }))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const provided = kernel.provide(greeter, "g", makeGreeter("hello"));
    expect(await handle.greet({ name: "x" })).toEqual({ text: "hello, x" });
    await provided.remove();
    await expect(handle.greet({ name: "x" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("without a name need exactly one provider", async () => {
    const kernel = await createTestKernel();
    const handle = kernel.get(greeter);
    kernel.provide(greeter, "a", makeGreeter("a"));
    expect(handle.name).toBe("a");
    kernel.provide(greeter, "b", makeGreeter("b"));
    await expect(handle.greet({ name: "x" })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: "'test.greeter' has several providers: say which of 'a', 'b' is meant",
    });
  });

  it("turn whatever a provider throws into an error that names its plugin", async () => {
    const plugin = {
      ...greeterPlugin,
      manifest: greeterPlugin.manifest,
      setup: (context: Parameters<typeof greeterPlugin.setup>[0]) =>
        context.provide(
          greeter,
          makeGreeter("x", {
            greet({ name }): Promise<{ text: string }> {
              if (name === "sync") throw new TypeError("thrown at once");
              return Promise.reject(name === "own" ? new VdcError("NOT_FOUND", "nobody") : "text");
            },
          }),
          { name: "main" },
        ),
    };
    Object.defineProperty(plugin, Symbol.for("vdc-os.plugin"), { value: 1 });
    const kernel = await createTestKernel({ plugins: [plugin] });
    const handle = kernel.get(greeter);
    const by = { plugin: "greeter-plugin" };
    await expect(handle.greet({ name: "sync" })).rejects.toMatchObject({
      code: "UNKNOWN",
      message: "thrown at once",
      ...by,
    });
    await expect(handle.greet({ name: "own" })).rejects.toMatchObject({ code: "NOT_FOUND", ...by });
    await expect(handle.greet({ name: "string" })).rejects.toMatchObject({ code: "UNKNOWN", message: "text", ...by });
  });

  it("end at their deadline and by their signal, even when the provider ignores both", async () => {
    const clock = createTestClock();
    const handle = await handleOn({ greet: () => new Promise(() => undefined) }, { clock });
    const late = handle.greet({ name: "x" }, { timeoutMs: 500 });
    const failed = expect(late).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    await clock.advance(500);
    await failed;
    const controller = new AbortController();
    const cancelled = handle.greet({ name: "x" }, { signal: controller.signal });
    controller.abort();
    await expect(cancelled).rejects.toMatchObject({ code: "CANCELLED" });
    await expect(handle.greet({ name: "x" }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    await expect(handle.greet({ name: "x" }, { timeoutMs: 0 })).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(clock.pending).toBe(0);
  });
});

describe("the boundary", () => {
  it("checks inputs always but when told not to, and outputs when told to", async () => {
    const wrong = { nme: "x" } as never;
    for (const validation of ["full", "inputs"] as const) {
      const handle = await handleOn({}, { validation });
      await expect(handle.greet(wrong)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "VDC_INPUT_INVALID",
        message: expect.stringMatching(/'test\.greeter' operation 'greet' of provider 'g' .*'input\.name'/),
      });
      await expect(readAll(handle.count(wrong))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    }
    const full = await handleOn(wrongOutput, { validation: "full" });
    await expect(full.greet({ name: "x" })).rejects.toMatchObject({ code: "INTERNAL", reason: "VDC_OUTPUT_INVALID" });
    const inputs = await handleOn(wrongOutput, { validation: "inputs" });
    expect(await inputs.greet({ name: "x" })).toEqual({ txt: "?" });
  });

  it("checks the items of a stream one by one", async () => {
    const handle = await handleOn({
      async *count() {
        yield 1;
        yield "two" as never;
      },
    });
    const items = handle.count({ to: 2 })[Symbol.asyncIterator]();
    expect(await items.next()).toEqual({ done: false, value: 1 });
    await expect(items.next()).rejects.toMatchObject({ code: "INTERNAL" });
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  it("refuses a token of another copy of core, with both formats", async () => {
    const kernel = await createTestKernel();
    const copy = { ...greeter, [Symbol.for("vdc-os.extension-point")]: 2 } as unknown as ExtensionPoint<Greeter>;
    expect(() => kernel.get(copy)).toThrowError(
      `another copy of @vdc-os/core, in token format 2; this one, ${coreVersion}, reads format 1`,
    );
    expect(() => kernel.get({ id: "x" } as never)).toThrowError(/is not an extension point/);
  });

  it("joins majors through an adapter, and names both versions without one", async () => {
    const next = defineGreeter("2.0");
    const adapter = contractAdapter({
      from: greeter,
      to: next,
      adapt: (old) => ({
        ...old,
        greet: async (input, context) => ({ text: `${(await old.greet(input, context)).text} (adapted)` }),
      }),
    });
    for (const adapters of [[], [adapter]]) {
      const kernel = await createTestKernel({ adapters });
      kernel.provide(greeter, "g", makeGreeter("hello"));
      const call = kernel.get(next, "g").greet({ name: "x" });
      if (adapters.length > 0) expect(await call).toEqual({ text: "hello, x (adapted)" });
      else await expect(call).rejects.toThrowError(/implements version 1\.0, and version 2\.0 is required/);
    }
  });
});

describe("streams", () => {
  it("run at the reader's pace, and end the provider's iterator when the reader leaves", async () => {
    let ended = false;
    const handle = await handleOn({
      async *count() {
        try {
          for (let value = 1; ; value++) yield value;
        } finally {
          ended = true;
        }
      },
    });
    for await (const item of handle.count({ to: 0 })) if (item === 3) break;
    expect(ended).toBe(true);
  });

  it("end by their signal while they wait, and with their provider", async () => {
    const kernel = await createTestKernel();
    const provided = kernel.provide(
      greeter,
      "g",
      makeGreeter("x", {
        async *follow({ from }) {
          yield from;
          await new Promise(() => undefined);
        },
      }),
    );
    const handle = kernel.get(greeter, "g");
    const controller = new AbortController();
    const first = handle.follow({ from: 1 }, { signal: controller.signal })[Symbol.asyncIterator]();
    expect(await first.next()).toEqual({ done: false, value: 1 });
    const waiting = first.next();
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await first.next()).toEqual({ done: true, value: undefined });
    const second = handle.follow({ from: 2 })[Symbol.asyncIterator]();
    await second.next();
    const next = expect(second.next()).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_PROVIDER_REPLACED" });
    await provided.remove();
    await next;
  });
});

describe("facets", () => {
  it("are objects with limits, or absent with a reason", async () => {
    const handle = await handleOn();
    const facet = await handle.facet("shouting", { scope: { host: "h1" } });
    if (!facet.available) throw new Error(facet.reason);
    expect(facet).toMatchObject({ limits: { decibel: 90 }, evidence: "measured" });
    expect(await facet.operations.shout({ name: "x" })).toEqual({ text: "HELLO, x!" });
    const { facets: _, ...without } = makeGreeter("quiet");
    const kernel = await createTestKernel();
    kernel.provide(greeter, "liar", without);
    expect(await kernel.get(greeter, "liar").facet("shouting")).toMatchObject({
      available: false,
      reason: "'liar' describes facet 'shouting' as available but does not implement it",
    });
    kernel.provide(greeter, "none", {
      ...without,
      describe: async () => ({
        implementation: { name: "n", version: "1", simulated: true },
        facets: {},
        attributes: {},
      }),
    });
    expect(await kernel.get(greeter, "none").facet("shouting")).toMatchObject({ available: false });
  });
});
