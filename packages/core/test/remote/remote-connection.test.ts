import { duplexPair } from "node:stream";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { createOperationContext } from "../../src/context/create-operation-context.ts";
import type { CallOptions, OperationContext, Progress } from "../../src/context/operation-context.ts";
import { VdcError } from "../../src/error/vdc-error.ts";
import { connectProviders } from "../../src/remote/connect-providers.ts";
import type { RemoteConnection, RemoteConnectionOptions } from "../../src/remote/remote-connection.ts";
import { ProviderDirectory, serveProviders } from "../../src/remote/serve-providers.ts";
import { type Counter, counter, makeCounter } from "./counter-point.ts";

const open: RemoteConnection[] = [];

afterEach(async () => {
  for (const connection of open.splice(0)) await connection.close();
});

interface Pair {
  readonly client: RemoteConnection;
  readonly server: RemoteConnection;
  readonly proxy: Counter;
}

async function connect(
  implementation: Counter,
  options: { readonly client?: RemoteConnectionOptions; readonly server?: RemoteConnectionOptions } = {},
): Promise<Pair> {
  const [left, right] = duplexPair();
  const providers = new ProviderDirectory();
  providers.add(counter, "one", implementation);
  const server = serveProviders(right, providers, options.server);
  const client = await connectProviders(left, options.client);
  open.push(client, server);
  return { client, server, proxy: client.proxy(counter, "one") };
}

const context = (options: CallOptions = {}): OperationContext => createOperationContext(options);

describe("unary calls", () => {
  it("carries input, output, nothing, and facets", async () => {
    const { proxy, client } = await connect(makeCounter());
    expect(await proxy.echo({ text: "h\u00e9llo \u{1f600}" }, context())).toEqual({ text: "h\u00e9llo \u{1f600}" });
    expect(await proxy.reset({ how: "" }, context())).toBeUndefined();
    expect(await proxy.facets?.doubles?.double({ value: 21 }, context())).toEqual({ value: 42 });
    expect(client.peer.providers).toEqual([
      { point: "test.counter", version: "1.2", name: "one", facets: ["doubles"] },
    ]);
    expect(await client.list()).toEqual(client.peer.providers);
  });

  it("shows no facet that the provider lacks", async () => {
    const { facets: _, ...bare } = makeCounter();
    const { proxy } = await connect(bare);
    expect(proxy.facets).toEqual({});
  });

  it("carries tenant, idempotency key, remaining time, trace context and progress", async () => {
    let seen: OperationContext | undefined;
    const { proxy } = await connect(
      makeCounter({
        async echo(input, called) {
          seen = called;
          called.progress({ fraction: 0.5, message: "half" });
          return input;
        },
      }),
    );
    const span = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 };
    const updates: Progress[] = [];
    await proxy.echo(
      { text: "" },
      context({
        tenant: "acme",
        idempotencyKey: "key-1",
        timeoutMs: 30_000,
        trace: trace.setSpanContext(ROOT_CONTEXT, span),
        onProgress: (update) => updates.push(update),
      }),
    );
    expect(seen).toMatchObject({ tenant: "acme", idempotencyKey: "key-1" });
    const left = (seen?.deadline ?? 0) - (seen?.clock.monotonic() ?? 0);
    expect(left).toBeGreaterThan(20_000);
    expect(left).toBeLessThanOrEqual(30_001);
    expect(trace.getSpanContext(seen?.trace ?? ROOT_CONTEXT)).toMatchObject({ ...span, isRemote: true });
    expect(updates).toEqual([{ fraction: 0.5, message: "half" }]);
  });

  it("carries errors with code, reason, details, blockers and cause", async () => {
    const { proxy } = await connect(
      makeCounter({
        async reset() {
          throw new VdcError("FAILED_PRECONDITION", "volume 'v' is in use", {
            reason: "VDC_IN_USE",
            details: { users: 2 },
            blockers: [{ kind: "vm", name: "web" }],
            cause: new VdcError("DATA_LOSS", "deep"),
          });
        },
        async echo() {
          throw new TypeError("plain");
        },
      }),
    );
    await expect(proxy.reset({ how: "" }, context())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "VDC_IN_USE",
      message: "volume 'v' is in use",
      details: { users: 2 },
      blockers: [{ kind: "vm", name: "web" }],
      retryable: false,
      cause: { code: "DATA_LOSS", message: "deep" },
    });
    await expect(proxy.echo({ text: "" }, context())).rejects.toMatchObject({ code: "UNKNOWN", message: "plain" });
  });

  it("refuses a wrong input, an unknown provider and an unknown facet", async () => {
    const { proxy, client } = await connect(makeCounter({ facets: {} }));
    await expect(proxy.echo({ text: 7 as unknown as string }, context())).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    const missing = client.proxy(counter, "two");
    await expect(missing.echo({ text: "" }, context())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      reason: "VDC_REMOTE_PROVIDER_MISSING",
    });
    await expect(missing.facets?.doubles?.double({ value: 1 }, context())).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
    await expect(client.link.request("c", [1, "test.counter", "one", "doubles.double", {}])).rejects.toMatchObject({
      code: "UNIMPLEMENTED",
    });
  });

  it("cancels on both sides", async () => {
    const aborted = Promise.withResolvers<unknown>();
    const entered = Promise.withResolvers<void>();
    const { proxy } = await connect(
      makeCounter({
        echo(_, called) {
          called.signal.addEventListener("abort", () => aborted.resolve(called.signal.reason));
          entered.resolve();
          return new Promise(() => {});
        },
      }),
    );
    const controller = new AbortController();
    const call = proxy.echo({ text: "" }, context({ signal: controller.signal }));
    await entered.promise;
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await aborted.promise).toMatchObject({ code: "CANCELLED" });
  });

  it("ends a call at its deadline on both sides", async () => {
    const aborted = Promise.withResolvers<unknown>();
    const { proxy } = await connect(
      makeCounter({
        echo(_, called) {
          called.signal.addEventListener("abort", () => aborted.resolve(called.signal.reason));
          return new Promise(() => {});
        },
      }),
    );
    await expect(proxy.echo({ text: "" }, context({ timeoutMs: 50 }))).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    expect(["DEADLINE_EXCEEDED", "CANCELLED"]).toContain(((await aborted.promise) as VdcError).code);
  });

  it("fails calls in flight with UNAVAILABLE when the connection is lost, and cancels what was served", async () => {
    const aborted = Promise.withResolvers<unknown>();
    const entered = Promise.withResolvers<void>();
    const { proxy, client, server } = await connect(
      makeCounter({
        echo(_, called) {
          called.signal.addEventListener("abort", () => aborted.resolve(called.signal.reason));
          entered.resolve();
          return new Promise(() => {});
        },
      }),
    );
    const call = proxy.echo({ text: "" }, context());
    call.catch(() => {});
    await entered.promise;
    server.link.fail(new VdcError("UNAVAILABLE", "gone"));
    await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
    expect(await aborted.promise).toMatchObject({ code: "CANCELLED" });
    expect(await client.closed).toMatchObject({ code: "UNAVAILABLE" });
    await expect(proxy.echo({ text: "" }, context())).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("refuses a message above the limit alone, in either direction", async () => {
    const { proxy } = await connect(
      makeCounter({ echo: async (input) => ({ text: input.text.repeat(input.text === "x" ? 100_000 : 1) }) }),
      { client: { maxMessageBytes: 10_000 }, server: { maxMessageBytes: 10_000 } },
    );
    await expect(proxy.echo({ text: "y".repeat(20_000) }, context())).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reason: "VDC_MESSAGE_TOO_LONG",
    });
    await expect(proxy.echo({ text: "x" }, context())).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reason: "VDC_MESSAGE_TOO_LONG",
    });
    expect(await proxy.echo({ text: "still here" }, context())).toEqual({ text: "still here" });
  });

  it("refuses calls beyond the number that may be in flight", async () => {
    const release = Promise.withResolvers<void>();
    const { proxy } = await connect(
      makeCounter({
        async echo(input) {
          await release.promise;
          return input;
        },
      }),
      { server: { maxCallsInFlight: 4 } },
    );
    const calls = Array.from({ length: 6 }, () => proxy.echo({ text: "" }, context()));
    const settled = Promise.allSettled(calls);
    await Promise.any(calls.map((call) => call.catch(() => {})));
    release.resolve();
    const refused = (await settled).filter((result) => result.status === "rejected");
    expect(refused).toHaveLength(2);
    expect(refused[0]?.reason).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  });

  it("refuses calls that together hold too many bytes", async () => {
    const release = Promise.withResolvers<void>();
    const { proxy } = await connect(
      makeCounter({
        async reset() {
          await release.promise;
        },
      }),
      { server: { maxBufferedBytes: 100_000 } },
    );
    const calls = Array.from({ length: 4 }, () => proxy.reset({ how: "x".repeat(40_000) }, context()));
    const settled = Promise.allSettled(calls);
    await Promise.any(calls.map((call) => call.then(Promise.reject, () => {})));
    release.resolve();
    expect((await settled).map((result) => result.status)).toEqual(["fulfilled", "fulfilled", "rejected", "rejected"]);
    expect(await proxy.reset({ how: "x".repeat(40_000) }, context())).toBeUndefined();
  });

  it("survives any well-formed message", async () => {
    const method = fc.constantFrom("hello", "list", "ping", "c", "s", "i", "g", "p", "start", "$/progress");
    const word = fc.constantFrom(
      "test.counter",
      "one",
      "echo",
      "count",
      "follow",
      "doubles.double",
      "constructor",
      "__proto__",
    );
    const value = fc.oneof(
      fc.integer({ min: -1, max: 3 }),
      word,
      fc.jsonValue(),
      fc.constant({ n: 4, to: 3, from: 1, text: "x" }),
    );
    const call = fc.tuple(
      fc.integer({ min: 0, max: 2 }),
      fc.constant("test.counter"),
      fc.constant("one"),
      word,
      value,
      value,
    );
    const params = fc.oneof(fc.array(value, { maxLength: 6 }), call);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(method, params, fc.boolean()), { maxLength: 20 }), async (messages) => {
        const [near, far] = duplexPair();
        const providers = new ProviderDirectory();
        providers.add(counter, "one", makeCounter());
        const server = serveProviders(near, providers);
        far.resume();
        messages.forEach(([name, list, isRequest], id) => {
          const text = JSON.stringify({ jsonrpc: "2.0", method: name, params: list, ...(isRequest ? { id } : {}) });
          far.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
        });
        far.end();
        expect((await server.closed).code).toBe("UNAVAILABLE");
      }),
      { seed: 7, numRuns: process.env.VDC_DEEP ? 3000 : 200 },
    );
  });

  it("serves both ways over one connection", async () => {
    const [left, right] = duplexPair();
    const mine = new ProviderDirectory();
    mine.add(counter, "mine", makeCounter({ echo: async ({ text }) => ({ text: `mine ${text}` }) }));
    const theirs = new ProviderDirectory();
    const server = serveProviders(right, theirs);
    theirs.add(
      counter,
      "theirs",
      makeCounter({ echo: (input, called) => server.proxy(counter, "mine").echo(input, called) }),
    );
    const client = await connectProviders(left, { serves: mine });
    open.push(client, server);
    expect((await server.greeted()).providers).toHaveLength(1);
    expect(await client.proxy(counter, "theirs").echo({ text: "x" }, context())).toEqual({ text: "mine x" });
  });
});

describe("versions", () => {
  it("refuses a contract of another major", async () => {
    const { client } = await connect(makeCounter());
    const newer = { ...counter, version: "2.0" } as typeof counter;
    expect(() => client.proxy(newer, "one")).toThrow(/serves version 1\.2 of 'test\.counter'.*built against 2\.0/);
    expect(() => client.proxy({ ...counter, version: "1.9" } as typeof counter, "one")).toThrow(/1\.9/);
  });

  it("refuses a peer of another protocol or core", async () => {
    for (const peer of [
      { protocol: 2, core: "0.1.0", providers: [] },
      { protocol: 1, core: "9.0.0", providers: [] },
      undefined,
    ]) {
      const { client } = await connect(makeCounter());
      await expect(client.link.request("hello", [peer])).rejects.toMatchObject({
        code: "FAILED_PRECONDITION",
        reason: "VDC_REMOTE_VERSION",
      });
    }
  });
});

describe("streams", () => {
  it("delivers a stream to its end", async () => {
    const { proxy } = await connect(makeCounter());
    const items: number[] = [];
    for await (const item of proxy.count({ to: 1000 }, context())) items.push(item.at);
    expect(items).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
  });

  it("delivers what came before an error, then the error", async () => {
    const { proxy } = await connect(
      makeCounter({
        async *count() {
          yield { at: 1 };
          throw new VdcError("DATA_LOSS", "bad block");
        },
      }),
    );
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const item of proxy.count({ to: 9 }, context())) seen.push(item.at);
      })(),
    ).rejects.toMatchObject({ code: "DATA_LOSS" });
    expect(seen).toEqual([1]);
  });

  it("bounds a producer by a consumer that does not read, and closes it when the consumer leaves", async () => {
    let produced = 0;
    const finished = Promise.withResolvers<void>();
    const { proxy } = await connect(
      makeCounter({
        async *follow() {
          try {
            for (;;) yield { at: ++produced };
          } finally {
            finished.resolve();
          }
        },
      }),
      { client: { streamWindow: 8 } },
    );
    const iterator = proxy.follow({ from: 0 }, context())[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: { at: 1 } });
    // Round trips after which an unbounded producer would have run far ahead.
    for (let round = 0; round < 50; round++) await proxy.echo({ text: "" }, context());
    expect(produced).toBeLessThanOrEqual(9);
    for (let value = 2; value <= 100; value++) expect((await iterator.next()).value).toEqual({ at: value });
    expect(produced).toBeLessThanOrEqual(110);
    await iterator.return?.();
    await finished.promise;
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it("ends with the caller's signal, and with the connection", async () => {
    const { proxy, server } = await connect(
      makeCounter({
        async *follow(_, called) {
          yield { at: 1 };
          await new Promise((_, reject) => called.signal.addEventListener("abort", () => reject(called.signal.reason)));
        },
      }),
    );
    const controller = new AbortController();
    const first = proxy.follow({ from: 0 }, context({ signal: controller.signal }))[Symbol.asyncIterator]();
    await first.next();
    const waiting = first.next();
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
    const second = proxy.follow({ from: 0 }, context())[Symbol.asyncIterator]();
    await second.next();
    const lost = second.next();
    lost.catch(() => {});
    server.link.fail(new VdcError("UNAVAILABLE", "gone"));
    await expect(lost).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
