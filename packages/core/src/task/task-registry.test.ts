import { describe, expect, it } from "vitest";
import { EventBus } from "../event/event-bus.ts";
import { createTestClock } from "../testing/test-clock.ts";
import { createTestRandom } from "../testing/test-random.ts";
import { TaskRegistry, taskChanged } from "./task-registry.ts";

function make(keepEnded?: number): { readonly tasks: TaskRegistry; readonly events: EventBus } {
  const events = new EventBus({ onListenerError: () => undefined, validate: true });
  const clock = createTestClock();
  const random = createTestRandom();
  return {
    events,
    tasks: new TaskRegistry({ events, clock, random, ...(keepEnded === undefined ? {} : { keepEnded }) }),
  };
}

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));

describe("TaskRegistry", () => {
  it("goes from accepted through running to a result, with events", async () => {
    const { tasks, events } = make();
    const seen: unknown[] = [];
    events.on(taskChanged, ({ state, progress }) => void seen.push([state, progress.fraction]));
    const task = tasks.run({ name: "vm.create", subject: "vm/a" }, async ({ progress }) => {
      progress({ fraction: 0.5, message: "half" });
      return 42;
    });
    expect(task.state).toBe("accepted");
    expect(await task.result()).toBe(42);
    expect(seen).toEqual([
      ["accepted", undefined],
      ["running", undefined],
      ["running", 0.5],
      ["succeeded", 1],
    ]);
    expect(task.snapshot()).toMatchObject({ name: "vm.create", subject: "vm/a", error: undefined });
  });

  it("brings progress into its range, so that what a task says of itself cannot fail it", async () => {
    const { tasks, events } = make();
    const seen: unknown[] = [];
    events.on(taskChanged, ({ progress }) => void seen.push(progress));
    const task = tasks.run({ name: "copy" }, async ({ progress }) => {
      progress({ fraction: 7, message: "too far" });
      progress({ fraction: Number.NaN });
      progress({ fraction: -1 });
    });
    await task.result();
    expect(seen).toEqual([
      {},
      {},
      { fraction: 1, message: "too far" },
      { fraction: 1, message: "too far" },
      { fraction: 0, message: "too far" },
      { fraction: 1, message: "too far" },
    ]);
  });

  it("cancels children with their parent, and tells a cancellation from a failure", async () => {
    const { tasks } = make();
    let child: string | undefined;
    const parent = tasks.run({ name: "parent" }, async (context) => {
      const part = context.run({ name: "child" }, ({ signal }) => untilAborted(signal));
      child = part.id;
      await part.result();
    });
    await Promise.resolve();
    await Promise.resolve();
    parent.cancel("enough");
    await expect(parent.result()).rejects.toMatchObject({ code: "CANCELLED" });
    expect(parent.snapshot()).toMatchObject({ state: "cancelled", children: [child] });
    expect(tasks.get(child as string)?.snapshot()).toMatchObject({ state: "cancelled", parent: parent.id });
    const failing = tasks.run({ name: "failing" }, () => Promise.reject(new Error("no")));
    await expect(failing.result()).rejects.toMatchObject({ code: "UNKNOWN" });
    expect(failing.state).toBe("failed");
  });

  it("can be waited for with a signal, which leaves the task alone", async () => {
    const { tasks } = make();
    const gate = Promise.withResolvers<string>();
    const task = tasks.run({ name: "slow" }, () => gate.promise);
    const controller = new AbortController();
    const waiting = task.result({ signal: controller.signal });
    controller.abort(new Error("impatient"));
    await expect(waiting).rejects.toThrowError("impatient");
    gate.resolve("done");
    expect(await task.result()).toBe("done");
  });

  it("forgets the oldest that have ended; a late listener gets those that are remembered", async () => {
    const { tasks, events } = make(2);
    for (const name of ["a", "b", "c"]) await tasks.run({ name }, async () => undefined).result();
    const names: string[] = [];
    events.on(taskChanged, ({ name }) => void names.push(name));
    expect(names).toEqual(["b", "c"]);
    expect(() => tasks.run({ name: "x", id: tasks.list()[0]?.id as string }, async () => 1)).toThrowError(/already/);
  });
});
