import { createTestClock, createTestRandom } from "@vdc-os/core/testing";
import { silentLogger } from "@vdc-os/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffDelay } from "./backoff.ts";
import { KeyedWorker, type KeyedWorkerOptions } from "./keyed-worker.ts";
import { WorkQueue } from "./work-queue.ts";

const clockAndRandom = () => ({ clock: createTestClock(), random: createTestRandom() });

function newQueue() {
  const { clock, random } = clockAndRandom();
  const queue = new WorkQueue<string>({ clock, random, id: (key) => key, group: (key) => key.split("/")[0] ?? "" });
  return { queue, clock };
}

function newWorker(run: KeyedWorkerOptions<string>["run"], concurrency = 1) {
  const { clock, random } = clockAndRandom();
  const worker = new KeyedWorker<string>({
    name: "test",
    clock,
    random,
    logger: silentLogger,
    id: (key) => key,
    group: (key) => key.split("/")[0] ?? "",
    concurrency,
    run,
  });
  return { worker, clock };
}

describe("the work queue", () => {
  test("has a key once, and hands it out again only after it is done", async () => {
    const { queue } = newQueue();
    for (let count = 0; count < 3; count++) queue.add("t/a");
    expect(queue.depth).toEqual({ ready: 1, delayed: 0, active: 0 });
    expect(await queue.take()).toBe("t/a");
    for (let count = 0; count < 3; count++) queue.add("t/a");
    let second: string | undefined;
    queue.take().then((key) => {
      second = key;
    });
    await Promise.resolve();
    expect(second).toBeUndefined();
    queue.done("t/a");
    await Promise.resolve();
    expect(second).toBe("t/a");
    queue.done("t/a");
    expect(queue.depth).toEqual({ ready: 0, delayed: 0, active: 0 });
  });

  test("lets tenants take turns, however many keys one has", async () => {
    const { queue } = newQueue();
    for (let index = 0; index < 100; index++) queue.add(`big/${index}`);
    queue.add("small/0");
    queue.add("tiny/0");
    queue.add("small/1");
    const order = [];
    for (let count = 0; count < 6; count++) order.push(await queue.take());
    expect(order).toEqual(["big/0", "small/0", "tiny/0", "big/1", "small/1", "big/2"]);
  });

  test("waits for the earlier of two times, and not at all once asked for now", async () => {
    const { queue, clock } = newQueue();
    queue.addAfter("t/a", 1_000);
    queue.addAfter("t/a", 100);
    queue.addAfter("t/a", 500);
    await clock.advance(99);
    expect(queue.depth).toEqual({ ready: 0, delayed: 1, active: 0 });
    await clock.advance(1);
    expect(queue.depth).toEqual({ ready: 1, delayed: 0, active: 0 });
    queue.addAfter("t/b", 1_000);
    queue.add("t/b");
    expect(clock.pending).toBe(0);
    queue.addAfter("t/c", 10);
    queue.close();
    expect(clock.pending).toBe(0);
    expect(await queue.take()).toBeUndefined();
  });

  test("serves each tenant at least every n-th time, with n tenants that have work", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 20 })), { maxLength: 80 }),
        async (keys) => {
          const { queue } = newQueue();
          for (const [tenant, name] of keys) queue.add(`${tenant}/${name}`);
          const left = new Map<string, number>();
          for (const key of new Set(keys.map(([tenant, name]) => `${tenant}/${name}`))) {
            const tenant = key.split("/")[0] ?? "";
            left.set(tenant, (left.get(tenant) ?? 0) + 1);
          }
          const waited = new Map<string, number>();
          while (left.size > 0) {
            const tenants = left.size;
            const served = (await queue.take())?.split("/")[0] ?? "";
            for (const tenant of left.keys()) {
              const turns = tenant === served ? 0 : (waited.get(tenant) ?? 0) + 1;
              expect(turns).toBeLessThan(Math.max(tenants, 4));
              waited.set(tenant, turns);
            }
            const rest = (left.get(served) ?? 0) - 1;
            if (rest === 0) left.delete(served);
            else left.set(served, rest);
          }
          expect(queue.depth.ready).toBe(0);
        },
      ),
      { seed: 20_260_104, numRuns: process.env.VDC_DEEP ? 5_000 : 200 },
    );
  });
});

describe("back-off", () => {
  test("doubles up to its limit, and spreads over the upper half", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), fc.integer(), (failures, seed) => {
        const delay = backoffDelay({ failures, baseMs: 100, maxMs: 60_000, random: createTestRandom(seed) });
        const full = Math.min(60_000, 100 * 2 ** (failures - 1));
        expect(delay).toBeGreaterThanOrEqual(full / 2);
        expect(delay).toBeLessThanOrEqual(full);
      }),
      { seed: 20_260_105 },
    );
  });
});

describe("the keyed worker", () => {
  test("tries a key that failed again after its back-off, and shows why", async () => {
    let runs = 0;
    const { worker, clock } = newWorker(async () => {
      if (++runs < 4) throw new Error(`no ${runs}`);
    });
    worker.start();
    worker.add("t/a");
    await clock.advance(0);
    expect(worker.status).toMatchObject({
      succeeded: 0,
      failed: 1,
      delayed: 1,
      failures: [{ key: "t/a", failures: 1 }],
    });
    expect(worker.status.failures[0]?.error.message).toBe("no 1");
    const [failure] = worker.status.failures;
    expect((failure?.retryAt ?? 0) - (failure?.at ?? 0)).toBeLessThanOrEqual(100);
    await clock.advance(100);
    expect(runs).toBe(2);
    await clock.advance(200);
    expect(runs).toBe(3);
    await clock.advance(400);
    expect(worker.status).toMatchObject({ succeeded: 1, failed: 3, delayed: 0, failures: [] });
    // What it had failed before is forgotten.
    runs = 0;
    worker.add("t/a");
    await clock.advance(100);
    expect(runs).toBe(2);
    await worker.stop();
    expect(clock.pending).toBe(0);
  });

  test("never looks at one key twice at once, whatever is added when", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom("t/a", "t/b", "u/a"), fc.integer({ min: 0, max: 20 })), { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        async (additions, concurrency) => {
          const active = new Set<string>();
          const lastStart = new Map<string, number>();
          const lastAdded = new Map<string, number>();
          let tick = 0;
          const { worker, clock } = newWorker(async (key) => {
            expect(active.has(key)).toBe(false);
            active.add(key);
            lastStart.set(key, ++tick);
            await clock.sleep(7);
            active.delete(key);
          }, concurrency);
          worker.start();
          for (const [key, wait] of additions) {
            lastAdded.set(key, ++tick);
            worker.add(key);
            await clock.advance(wait);
          }
          await clock.advance(1_000);
          // After each addition there was a look that began later.
          for (const [key, added] of lastAdded) expect(lastStart.get(key)).toBeGreaterThan(added);
          await worker.stop();
        },
      ),
      { seed: 20_260_106, numRuns: process.env.VDC_DEEP ? 1_000 : 50 },
    );
  });

  test("stops once what runs has ended, aborts what takes too long, and names what heeds nothing", async () => {
    const patient = newWorker(() => patient.clock.sleep(1_000));
    patient.worker.start();
    patient.worker.add("t/a");
    patient.worker.add("t/b");
    await patient.clock.advance(1);
    const drained = patient.worker.stop({ drainMs: 5_000 });
    await patient.clock.advance(1_000);
    expect(await drained).toEqual([]);
    expect(patient.worker.status).toMatchObject({ succeeded: 1, active: 0 });

    const heeding = newWorker((_, signal) => heeding.clock.sleep(60_000, { signal }));
    heeding.worker.start();
    heeding.worker.add("t/a");
    await heeding.clock.advance(1);
    const aborted = heeding.worker.stop({ drainMs: 100, abortMs: 100 });
    await heeding.clock.advance(100);
    expect(await aborted).toEqual([]);

    const deaf = newWorker(() => new Promise(() => {}));
    deaf.worker.start();
    deaf.worker.add("t/a");
    await deaf.clock.advance(1);
    const named = deaf.worker.stop({ drainMs: 100, abortMs: 100 });
    await deaf.clock.advance(200);
    expect(await named).toEqual(["t/a"]);
  });
});
