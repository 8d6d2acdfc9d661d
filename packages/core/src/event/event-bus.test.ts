import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createTestKernel } from "../testing/create-test-kernel.ts";
import { plainPlugin } from "../kernel/test/greeter-point.ts";
import { EventBus, type ListenerErrorSink } from "./event-bus.ts";
import { defineEvent } from "./event-token.ts";
import { listenerFailed } from "./kernel-events.ts";

const moved = defineEvent<{ readonly id: string; readonly to: string }>({
  id: "test.moved",
  version: "1.0",
  summary: "Something moved.",
  payload: z.object({ id: z.string(), to: z.string() }),
  latestBy: ({ id }) => id,
});

type Failure = Parameters<ListenerErrorSink>[0];

function makeBus(validate = false): { readonly bus: EventBus; readonly failures: Failure[] } {
  const failures: Failure[] = [];
  return { failures, bus: new EventBus({ validate, onListenerError: (failure) => failures.push(failure) }) };
}

describe("EventBus", () => {
  it("isolates listeners that throw or reject, and names their plugin", async () => {
    const { bus, failures } = makeBus();
    const heard: string[] = [];
    bus.on(moved, () => Promise.reject(new Error("async")), { plugin: "b" });
    bus.on(
      moved,
      () => {
        throw new Error("sync");
      },
      { plugin: "a" },
    );
    bus.on(moved, ({ to }) => void heard.push(to));
    bus.emit(moved, { id: "x", to: "y" });
    await Promise.resolve();
    expect(heard).toEqual(["y"]);
    expect(failures.map(({ plugin, error }) => [plugin, error.message, error.plugin])).toEqual([
      ["a", "sync", "a"],
      ["b", "async", "b"],
    ]);
  });

  it("gives a late listener the latest of each key at once", () => {
    const { bus } = makeBus();
    for (const to of ["1", "2"]) for (const id of ["x", "y"]) bus.emit(moved, { id, to });
    const heard: string[] = [];
    const leave = bus.on(moved, ({ id, to }) => void heard.push(id + to));
    expect(heard).toEqual(["x2", "y2"]);
    leave();
    leave();
    bus.emit(moved, { id: "x", to: "3" });
    expect(heard).toHaveLength(2);
  });

  it("is not disturbed by who comes and goes during a dispatch; one function may listen twice", () => {
    const { bus } = makeBus();
    let count = 0;
    const listener = (): void => {
      count++;
      leave();
    };
    const leave = bus.on(moved, listener);
    bus.on(moved, listener);
    bus.emit(moved, { id: "x", to: "1" });
    expect(count).toBe(2);
    bus.emit(moved, { id: "x", to: "2" });
    expect(count).toBe(3);
  });

  it("can be awaited, with a signal", async () => {
    const { bus } = makeBus();
    const next = bus.once(moved, { matches: ({ to }) => to === "there" });
    bus.emit(moved, { id: "x", to: "here" });
    bus.emit(moved, { id: "x", to: "there" });
    expect(await next).toEqual({ id: "x", to: "there" });
    expect(await bus.once(moved)).toEqual({ id: "x", to: "there" });
    const controller = new AbortController();
    const never = bus.once(moved, { signal: controller.signal, matches: () => false });
    controller.abort(new Error("enough"));
    await expect(never).rejects.toThrowError("enough");
  });

  it("meets tokens of one id and major from two copies of a package, and checks payloads when told to", () => {
    const { bus } = makeBus(true);
    const heard: string[] = [];
    bus.on(defineEvent({ ...moved, version: "1.3" }), ({ to }) => void heard.push(to));
    bus.on(defineEvent({ ...moved, version: "2.0" }), () => void heard.push("wrong major"));
    bus.emit(moved, { id: "x", to: "y" });
    expect(heard).toEqual(["y"]);
    expect(() => bus.emit(moved, { id: 1 } as never, { plugin: "p" })).toThrowError(/'test\.moved': payload at 'id'/);
  });

  it("belongs to the plugin that listens: it ends with it, and its failures are events themselves", async () => {
    let heard = 0;
    const plugin = plainPlugin("p", (context) => {
      context.on(moved, () => {
        heard++;
        throw new Error("bad listener");
      });
    });
    const kernel = await createTestKernel({ plugins: [plugin] });
    const failed = kernel.events.once(listenerFailed);
    kernel.events.emit(moved, { id: "x", to: "y" });
    expect(await failed).toEqual({ plugin: "p", source: "test.moved", message: "bad listener" });
    await kernel.stop();
    kernel.events.emit(moved, { id: "x", to: "z" });
    expect(heard).toBe(1);
  });
});
