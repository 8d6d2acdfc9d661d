import { isVdcError } from "@vdc-os/core";
import { createTestClock, type TestClock } from "@vdc-os/core/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { diskController } from "../../test/disk-controller.ts";
import { disk } from "../../test/disk-kind.ts";
import { FakeProvider, type ProviderCut } from "../../test/fake-provider.ts";
import { type Cut, MemoryState } from "../../test/memory-state-store.ts";
import { openPlane } from "../../test/open-plane.ts";
import { externalNameOf } from "../journal/external-name.ts";
import { sweep } from "../journal/sweep.ts";
import { isConditionTrue } from "../resource/condition.ts";
import { isFinished } from "../task/task-record.ts";

/** What a user does. */
type Action =
  | { readonly type: "create"; readonly name: string; readonly tenant: string; readonly size: number }
  | { readonly type: "update"; readonly name: string; readonly tenant: string; readonly size: number }
  | { readonly type: "delete"; readonly name: string; readonly tenant: string }
  /** Takes the finalizer away by force: what is outside becomes an orphan. */
  | { readonly type: "abandon"; readonly name: string; readonly tenant: string }
  /** Lets the controllers go on for a while. */
  | { readonly type: "rest" };

/** What one process does until it is killed, if it is. */
interface Life {
  readonly actions: readonly Action[];
  readonly cut?: Cut | undefined;
  readonly providerCut?: ProviderCut | undefined;
}

/** What the user knows of an object: what it may be now. Several things, where a call was not answered. */
type Belief = ReadonlySet<number | "absent" | "leaving">;

interface World {
  readonly state: MemoryState;
  readonly provider: FakeProvider;
  readonly clock: TestClock;
  readonly beliefs: Map<string, Belief>;
  readonly tasks: Set<string>;
  transactions: number;
}

const foreign = {
  name: "not-ours",
  sizeBytes: 1,
  owner: { datacenter: "dc-2", tenant: "t", kind: "Disk", name: "x", uid: "u" },
};
const unstamped = { name: "not-stamped", sizeBytes: 1, owner: undefined };

function newWorld(): World {
  const provider = new FakeProvider();
  for (const disk of [foreign, unstamped]) provider.disks.set(disk.name, disk);
  const clock = createTestClock();
  return { state: new MemoryState(), provider, clock, beliefs: new Map(), tasks: new Set(), transactions: 0 };
}

async function act(world: World, plane: ReturnType<typeof openPlane>["plane"], action: Action): Promise<void> {
  if (action.type === "rest") {
    await world.clock.advance(50);
    return;
  }
  const { tenant, name } = action;
  const key = { tenant, name };
  const id = `${tenant}/${name}`;
  const before = world.beliefs.get(id) ?? new Set(["absent" as const]);
  const goal = action.type === "create" || action.type === "update" ? action.size : "leaving";
  // While nothing has answered, both may be.
  world.beliefs.set(id, new Set([...before, goal]));
  const { store } = plane;
  try {
    if (action.type === "create") {
      const { task } = await store.create(disk, { ...key, spec: { sizeBytes: action.size * 512 } });
      world.tasks.add(task.id);
    } else if (action.type === "update") {
      const { task } = await store.update(disk, key, { sizeBytes: action.size * 512 });
      world.tasks.add(task.id);
    } else if (action.type === "delete") {
      world.tasks.add((await store.delete(disk, key)).task.id);
    } else {
      world.tasks.add((await store.delete(disk, key)).task.id);
      await store.removeFinalizer(disk, key, "test.disk");
    }
    world.beliefs.set(id, new Set([goal]));
  } catch (error) {
    if (isVdcError(error, "UNAVAILABLE")) return;
    if (!isVdcError(error)) throw error;
    // A refusal is an answer: nothing was changed by it. What it says narrows what may be.
    const isThere = error.code !== "NOT_FOUND";
    world.beliefs.set(id, isThere ? new Set([...before]) : new Set(["absent"]));
  }
}

async function live(world: World, { actions, cut, providerCut }: Life, seed: number): Promise<void> {
  const connection = world.state.connect(cut);
  const session = world.provider.session(connection, providerCut);
  const { plane } = openPlane({ connection, seed, clock: world.clock, controllers: [diskController(session)] });
  const starting = plane.start().catch(() => undefined);
  await Promise.race([starting, connection.cut]);
  for (const action of actions) {
    if (connection.isCut) break;
    await act(world, plane, action);
  }
  // A killed process does nothing any more; stopping only takes its timers off the clock that the worlds share.
  connection.kill();
  const stopping = plane.stop({ drainMs: 0, abortMs: 0 });
  await world.clock.advance(1);
  await stopping;
  world.transactions = connection.transactions;
}

async function converge(world: World): Promise<void> {
  const connection = world.state.connect();
  const controller = diskController(world.provider.session(connection));
  const { plane } = openPlane({ connection, seed: 999, clock: world.clock, controllers: [controller] });
  await plane.start();
  const isSettled = (): boolean =>
    plane.tasks.list({ finished: false }).length === 0 &&
    plane.cache
      .list(disk)
      .every(
        ({ conditions, metadata }) =>
          metadata.deletionRequestedAt === undefined && isConditionTrue(conditions, "Ready", metadata.generation),
      );
  for (let round = 0; round < 100 && !(round > 1 && isSettled()); round++) await world.clock.advance(100);

  // Everything that was acknowledged has ended, and nobody waits in vain.
  expect(plane.tasks.list({ finished: false })).toEqual([]);
  for (const id of world.tasks) expect(isFinished(await plane.tasks.get(id))).toBe(true);
  const objects = plane.cache.list(disk);
  for (const { conditions, metadata, status, spec } of objects) {
    expect(metadata.deletionRequestedAt).toBeUndefined();
    expect(metadata.pendingTasks).toEqual([]);
    expect(isConditionTrue(conditions, "Ready", metadata.generation)).toBe(true);
    expect(status.sizeBytes).toBe(spec.sizeBytes);
  }

  // What was acknowledged is so.
  const there = new Map(objects.map((object) => [`${object.metadata.tenant}/${object.metadata.name}`, object]));
  for (const [id, belief] of world.beliefs) {
    const object = there.get(id);
    if (object === undefined) expect(belief.has("absent") || belief.has("leaving")).toBe(true);
    else expect([...belief]).toContain(object.spec.sizeBytes / 512);
  }
  for (const id of there.keys()) expect(world.beliefs.has(id)).toBe(true);

  // Outside there is each object exactly once, and what is not ours is untouched.
  await world.clock.advance(600_000);
  const report = await sweep({
    state: connection,
    journal: plane.journal,
    datacenter: "dc-1",
    targets: [world.provider.sweepTarget()],
    clock: world.clock,
    logger: { debug() {}, info() {}, warn() {}, error() {}, child: () => expect.fail() },
  });
  expect(report.deferred).toEqual([]);
  expect(report.foreign.map(({ external }) => external.externalName).sort()).toEqual(["not-ours", "not-stamped"]);
  const wanted = objects.map((object) => ({
    name: externalNameOf(object),
    sizeBytes: object.spec.sizeBytes,
    owner: plane.journal.stampOf(object),
  }));
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  expect([...world.provider.disks.values()].sort(byName)).toEqual([...wanted, foreign, unstamped].sort(byName));
  for (const times of world.provider.made.values()) expect(times).toBe(1);

  // Nothing is left lying about: no intent, and the usage is that of the objects.
  expect(await plane.journal.pending()).toEqual([]);
  for (const { key, value } of world.state.entries("usage/")) {
    const mine = objects.filter(({ metadata }) => key === `usage/${metadata.tenant}/Disk`);
    expect(value).toEqual({ count: mine.length, bytes: mine.reduce((sum, { spec }) => sum + spec.sizeBytes, 0) });
  }
  await plane.stop();
  expect(world.clock.pending).toBe(0);
}

const script: readonly Action[] = [
  { type: "create", tenant: "one", name: "a", size: 1 },
  { type: "create", tenant: "two", name: "a", size: 2 },
  { type: "rest" },
  { type: "update", tenant: "one", name: "a", size: 3 },
  { type: "create", tenant: "one", name: "b", size: 1 },
  { type: "rest" },
  { type: "delete", tenant: "one", name: "a" },
  { type: "abandon", tenant: "one", name: "b" },
  { type: "rest" },
  { type: "create", tenant: "one", name: "a", size: 5 },
  { type: "update", tenant: "one", name: "a", size: 6 },
  { type: "rest" },
  { type: "delete", tenant: "two", name: "a" },
  { type: "rest" },
];

describe("a process that is killed, and started again", () => {
  test("at every transaction of a run", async () => {
    const whole = newWorld();
    await live(whole, { actions: script }, 1);
    const { transactions } = whole;
    await converge(whole);
    expect(transactions).toBeGreaterThan(30);
    for (let atTransaction = 1; atTransaction <= transactions; atTransaction++) {
      for (const committed of [false, true]) {
        const world = newWorld();
        await live(world, { actions: script, cut: { atTransaction, committed } }, 1);
        await converge(world);
      }
    }
  });

  test("at every effect outside", async () => {
    const whole = newWorld();
    await live(whole, { actions: script }, 1);
    const { effects } = whole.provider;
    expect(effects).toBeGreaterThan(5);
    for (let atEffect = 1; atEffect <= effects; atEffect++) {
      for (const happened of [false, true]) {
        const world = newWorld();
        await live(world, { actions: script, providerCut: { atEffect, happened } }, 1);
        await converge(world);
      }
    }
  });

  test("again and again, wherever, while users do whatever", async () => {
    const tenant = fc.constantFrom("one", "two");
    const name = fc.constantFrom("a", "b", "c");
    const size = fc.integer({ min: 1, max: 9 });
    const action: fc.Arbitrary<Action> = fc.oneof(
      fc.record({ type: fc.constant("create" as const), tenant, name, size }),
      fc.record({ type: fc.constant("update" as const), tenant, name, size }),
      fc.record({ type: fc.constant("delete" as const), tenant, name }),
      fc.record({ type: fc.constant("abandon" as const), tenant, name }),
      fc.record({ type: fc.constant("rest" as const) }),
    );
    const life: fc.Arbitrary<Life> = fc.record({
      actions: fc.array(action, { maxLength: 15 }),
      cut: fc.option(fc.record({ atTransaction: fc.integer({ min: 1, max: 40 }), committed: fc.boolean() }), {
        nil: undefined,
      }),
      providerCut: fc.option(fc.record({ atEffect: fc.integer({ min: 1, max: 10 }), happened: fc.boolean() }), {
        nil: undefined,
      }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 5 }), async (lives) => {
        const world = newWorld();
        for (const [index, one] of lives.entries()) await live(world, one, index + 1);
        await converge(world);
      }),
      { seed: 20_260_101, numRuns: process.env.VDC_DEEP ? 3_000 : 150 },
    );
  });
});
