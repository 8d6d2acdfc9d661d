import { isVdcError, VdcError } from "@vdc-os/core";
import { createTestClock } from "@vdc-os/core/testing";
import { describe, expect, test } from "vitest";
import { diskController } from "../../test/disk-controller.ts";
import { disk, type DiskInput, type DiskSpec, type DiskStatus } from "../../test/disk-kind.ts";
import { FakeProvider } from "../../test/fake-provider.ts";
import { MemoryState } from "../../test/memory-state-store.ts";
import { openPlane } from "../../test/open-plane.ts";
import { defineKind } from "../resource/kind.ts";
import { ownedBy } from "../resource/resource.ts";
import type { TaskRecord } from "../task/task-record.ts";
import { createControlPlane } from "./control-plane.ts";
import { type ControllerOptions, defineController, watchKind, watchOwned } from "./define-controller.ts";
import { type EventSink, resourceChanged, taskChanged } from "./resource-events.ts";
import { z } from "zod";

type Reconcile = ControllerOptions<DiskSpec, DiskStatus, DiskInput>["reconcile"];

const key = { tenant: "default", name: "a" };
const spec = { sizeBytes: 512 };

function open(memory = new MemoryState(), provider = new FakeProvider(), clock = createTestClock()) {
  const connection = memory.connect();
  const opened = openPlane({ connection, clock, memory, controllers: [diskController(provider.session(connection))] });
  return { ...opened, provider, clock };
}

/** A control plane whose controller does what the test says. */
function openWith(reconcile: Reconcile) {
  const clock = createTestClock();
  return { ...openPlane({ clock, controllers: [defineController({ kind: disk, reconcile })] }), clock };
}

describe("a task", () => {
  test("ends when the object is as it was asked for", async () => {
    const { plane, clock, provider } = open();
    await plane.start();
    const { task } = await plane.store.create(disk, { name: "a", spec });
    const done = task.wait();
    await clock.advance(10);
    expect(await done).toMatchObject({
      status: { sizeBytes: 512 },
      metadata: { observedGeneration: 1, pendingTasks: [] },
    });
    expect(task.state).toBe("succeeded");
    expect(provider.disks.size).toBe(1);

    const again = await plane.store.create(disk, { name: "a", spec });
    expect(again.task.state).toBe("succeeded");
    expect((await again.task.wait()).metadata.uid).toBe((await done).metadata.uid);

    const update = await plane.store.update(disk, key, { sizeBytes: 1024 });
    const updated = update.task.wait();
    await clock.advance(10);
    expect((await updated).status.sizeBytes).toBe(1024);

    const deletion = await plane.store.delete(disk, key);
    const deleted = deletion.task.wait();
    await clock.advance(10);
    await deleted;
    expect(await plane.store.find(disk, key)).toBeUndefined();
    expect(provider.disks.size).toBe(0);
    await plane.stop();
    expect(clock.pending).toBe(0);
  });

  test("outlives the process that accepted it", async () => {
    const { plane, state, clock, provider } = open();
    const { task } = await plane.store.create(disk, { name: "a", spec });
    await plane.stop();
    const reopened = open(state, provider, clock);
    await reopened.plane.start();
    const handle = await reopened.plane.tasks.handle(task.id);
    const done = handle.wait();
    await clock.advance(10);
    await done;
    expect(handle.record).toMatchObject({ state: "succeeded", action: "create", target: { kind: "Disk", name: "a" } });
    await reopened.plane.stop();
  });

  test("fails for good when its controller says so, and is tried anew when it is asked for again", async () => {
    let broken = true;
    const { plane, clock } = openWith(async (context) => {
      if (broken) return { failed: new VdcError("RESOURCE_EXHAUSTED", "no pool has room", { reason: "VDC_NO_ROOM" }) };
      await context.updateStatus({ conditions: [{ type: "Ready", status: "True", reason: "Realised" }] });
      return undefined;
    });
    await plane.start();
    const first = await plane.store.create(disk, { name: "a", spec });
    const failed = first.task.wait().catch((error: unknown) => error);
    await clock.advance(10);
    expect(await failed).toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reason: "VDC_NO_ROOM",
      message: "no pool has room",
    });
    expect((await plane.store.get(disk, key)).conditions).toMatchObject([
      { type: "Failed", status: "True", reason: "VDC_NO_ROOM" },
    ]);
    broken = false;
    const second = await plane.store.create(disk, { name: "a", spec });
    expect(second.task.id).not.toBe(first.task.id);
    const done = second.task.wait();
    await clock.advance(10);
    expect((await done).conditions).toMatchObject([{ type: "Ready" }]);
    await plane.stop();
  });

  test("is waited for no longer than asked, nor beyond a signal or the end of the process", async () => {
    const { plane, clock } = openWith(async () => {});
    await plane.start();
    const { task } = await plane.store.create(disk, { name: "a", spec });
    const late = task.wait({ timeoutMs: 100 }).catch((error: unknown) => error);
    const abort = new AbortController();
    const aborted = task.wait({ signal: abort.signal }).catch((error: unknown) => error);
    const closed = task.wait().catch((error: unknown) => error);
    await clock.advance(100);
    expect(await late).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    abort.abort(new Error("enough"));
    expect(await aborted).toMatchObject({ message: "enough" });
    await plane.stop();
    expect(await closed).toMatchObject({ code: "CANCELLED" });
    await expect(task.wait()).rejects.toMatchObject({ code: "CANCELLED" });
    expect(clock.pending).toBe(0);
    await expect(plane.start()).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  test("that is cancelled undoes a create, leaves an update, and does not undo a deletion", async () => {
    const { plane, clock, provider } = open();
    await plane.start();
    const { task } = await plane.store.create(disk, { name: "a", spec });
    await task.cancel();
    await expect(task.wait()).rejects.toMatchObject({ code: "CANCELLED" });
    await clock.advance(100);
    expect(await plane.store.find(disk, key)).toBeUndefined();
    expect(provider.disks.size).toBe(0);

    await plane.store.create(disk, { name: "a", spec });
    await clock.advance(100);
    const update = await plane.store.update(disk, key, { sizeBytes: 1024 });
    await update.task.cancel();
    await expect(update.task.wait()).rejects.toMatchObject({ code: "CANCELLED" });
    expect((await plane.store.get(disk, key)).spec.sizeBytes).toBe(1024);
    const deletion = await plane.store.delete(disk, key);
    expect((await plane.store.delete(disk, key)).task.id).toBe(deletion.task.id);
    await expect(deletion.task.cancel()).rejects.toMatchObject({ reason: "VDC_TASK_NOT_CANCELLABLE" });
    await clock.advance(100);
    await deletion.task.wait();
    await deletion.task.cancel();
    await plane.stop();
  });

  test("that waits for an object which is deleted ends as cancelled", async () => {
    const { plane, clock } = open();
    const { task } = await plane.store.create(disk, { name: "a", spec });
    const update = await plane.store.update(disk, key, { sizeBytes: 1024 });
    await plane.store.delete(disk, key);
    await plane.start();
    await expect(task.wait()).rejects.toMatchObject({ reason: "VDC_OBJECT_DELETED" });
    await expect(update.task.wait()).rejects.toMatchObject({ reason: "VDC_OBJECT_DELETED" });
    await clock.advance(100);
    await plane.stop();
  });

  test("of many changes that come to nothing ends when later ones take its place", async () => {
    const { plane, clock } = openWith(async () => {});
    await plane.start();
    const { store } = plane;
    await store.create(disk, { name: "a", spec });
    const first = await store.update(disk, key, { sizeBytes: 1024 });
    expect((await store.update(disk, key, { sizeBytes: 1024 })).task.id).toBe(first.task.id);
    for (let count = 3; count < 300; count++) await store.update(disk, key, { sizeBytes: count * 512 });
    const { metadata } = await store.get(disk, key);
    expect(metadata.pendingTasks).toHaveLength(64);
    expect(metadata.pendingTasks[0]?.action).toBe("create");
    await expect(first.task.wait()).rejects.toMatchObject({ code: "CANCELLED", reason: "VDC_TASK_SUPERSEDED" });
    const ready = { conditions: [{ type: "Ready", status: "True" as const, reason: "Realised" }] };
    await store.updateStatus(disk, key, ready, { observedGeneration: metadata.generation });
    await clock.advance(1);
    expect(plane.tasks.list({ finished: false })).toEqual([]);
    await plane.stop();
  });

  test("with parts is cancelled with them", async () => {
    const { plane, clock } = openWith(async () => {});
    await plane.start();
    const parent = await plane.tasks.begin({ action: "deploy", tenant: "default" });
    const child = await plane.store.create(disk, { name: "a", spec }, { parentTask: parent.id });
    await clock.advance(1);
    expect(plane.tasks.list({ parent: parent.id }).map(({ id }) => id)).toEqual([child.task.id]);
    await parent.cancel();
    expect((await plane.tasks.get(parent.id)).state).toBe("cancelled");
    expect((await plane.tasks.get(child.task.id)).state).toBe("cancelled");
    const finished = await plane.tasks.begin({ action: "deploy", tenant: "default" });
    await plane.tasks.finish(finished.id, { state: "succeeded", result: { vms: 3 } });
    expect(await finished.wait()).toEqual({ vms: 3 });
    await plane.stop();
  });

  test("shows progress a few times a second, and none of it goes to disk", async () => {
    const seen: TaskRecord[] = [];
    const events: EventSink = {
      emit: (event, payload) => {
        if (event.id === taskChanged.id) seen.push(payload as TaskRecord);
      },
    };
    const clock = createTestClock();
    const controller = defineController({
      kind: disk,
      async reconcile(context) {
        for (let percent = 0; percent < 100; percent++) {
          context.progress({ fraction: percent / 100 });
          await clock.sleep(10);
        }
        await context.updateStatus({ conditions: [{ type: "Ready", status: "True", reason: "Realised" }] });
      },
    });
    const { plane, connection } = openPlane({ clock, controllers: [controller], events });
    await plane.start();
    const { task } = await plane.store.create(disk, { name: "a", spec });
    const told: number[] = [];
    const done = task.wait({ onProgress: ({ fraction = 0 }) => told.push(fraction) });
    await clock.advance(500);
    expect(task.state).toBe("running");
    expect(task.progress?.fraction).toBeCloseTo(0.49, 1);
    expect(connection.transactions).toBe(1);
    await clock.advance(600);
    await done;
    expect(task.progress).toBeUndefined();
    expect(told.length).toBeGreaterThanOrEqual(3);
    expect(told.length).toBeLessThanOrEqual(6);
    expect(seen.map(({ state }) => state)).toEqual([
      "accepted",
      ...Array(seen.length - 2).fill("running"),
      "succeeded",
    ]);
    // It looks at the object again, because its status has changed: closing waits for that.
    const stopping = plane.stop();
    await clock.advance(1_000);
    expect(await stopping).toEqual([]);
  });

  test("is forgotten after a while, when it has ended", async () => {
    const clock = createTestClock();
    const { plane, state } = openPlane({ clock, taskRetention: { maxAgeMs: 3_600_000, maxCount: 2 } });
    await plane.start();
    const ids = [];
    for (let count = 0; count < 4; count++) {
      const task = await plane.tasks.begin({ action: "test", tenant: "default" });
      ids.push(task.id);
      await clock.advance(1);
      if (count < 3) await plane.tasks.finish(task.id, { state: "succeeded" });
    }
    await clock.advance(600_000);
    expect(
      state
        .entries("tasks/")
        .map(({ key }) => key.slice(6))
        .sort(),
    ).toEqual([...ids.slice(1)].sort());
    await clock.advance(3_600_000);
    expect(state.entries("tasks/").map(({ key }) => key.slice(6))).toEqual([ids[3]]);
    await expect(plane.tasks.handle(ids[0] ?? "")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await plane.stop();
  });
});

describe("controllers", () => {
  test("are level-triggered: a change that a gap swallowed is seen all the same", async () => {
    const { plane, state, clock, provider } = open();
    await plane.start();
    await plane.store.create(disk, { name: "a", spec });
    await plane.store.create(disk, { name: "b", spec });
    await clock.advance(10);
    expect(provider.disks.size).toBe(2);
    const other = openPlane({ memory: state, clock, seed: 7 }).plane;
    // All of it happens before the watch has had its turn, and is compacted away.
    await other.store.update(disk, key, { sizeBytes: 2048 });
    await other.store.delete(disk, { ...key, name: "b" });
    state.compact();
    await clock.advance(1_000);
    expect([...provider.disks.values()].map(({ sizeBytes }) => sizeBytes)).toEqual([2048]);
    expect(plane.cache.list(disk).map(({ metadata }) => metadata.name)).toEqual(["a"]);
    await plane.stop();
  });

  test("look again when asked to, from time to time, and when something outside has changed", async () => {
    const clock = createTestClock();
    const looks: number[] = [];
    const start = clock.now();
    const controller = defineController({
      kind: disk,
      resyncIntervalMs: 10_000,
      async reconcile() {
        looks.push(clock.now() - start);
        return looks.length === 1 ? { requeueAfterMs: 3_000 } : undefined;
      },
    });
    const { plane } = openPlane({ clock, controllers: [controller] });
    await plane.store.create(disk, { name: "a", spec });
    await plane.start();
    await clock.advance(10_500);
    expect(looks).toEqual([0, 3_000, 10_000]);
    plane.enqueue(disk);
    await clock.advance(0);
    plane.enqueue(disk, key);
    await clock.advance(0);
    expect(looks.length).toBe(5);
    expect(plane.status.controllers).toMatchObject([
      { name: "Disk", succeeded: 5, ready: 0, active: 0 },
      { name: "dependents" },
    ]);
    await plane.stop();
  });

  test("look at what other kinds' objects concern", async () => {
    const clock = createTestClock();
    const pool = defineKind<{ readonly disk: string }, Record<never, never>>()({
      kind: "Pool",
      apiVersion: "v1",
      spec: z.object({ disk: z.string() }),
      status: z.object({}),
      initialStatus: {},
    });
    const looks: string[] = [];
    const controller = defineController({
      kind: disk,
      watches: [
        watchKind(pool, ({ spec, metadata: { tenant } }) => [{ tenant, name: spec.disk }]),
        watchOwned(disk, disk),
      ],
      async reconcile(_, { name }) {
        looks.push(name);
      },
    });
    const { plane } = openPlane({ clock, kinds: [disk, pool], controllers: [controller] });
    await plane.start();
    await plane.store.create(pool, { name: "p", spec: { disk: "x" } });
    await clock.advance(1);
    await plane.store.update(pool, { ...key, name: "p" }, { disk: "y" });
    await clock.advance(1);
    // The one that it concerned before as well.
    expect(looks.sort()).toEqual(["x", "x", "y"]);
    await plane.stop();
  });

  test("of one kind twice by name are refused", () => {
    const other = { ...disk };
    expect(() => openPlane({ kinds: [disk, other] })).toThrow("there are two kinds 'Disk'");
  });

  test("do not harm each other by a listener that throws", async () => {
    const clock = createTestClock();
    const seen: string[] = [];
    const events: EventSink = {
      emit: (event) => {
        seen.push(event.id);
        throw new Error("a bad listener");
      },
    };
    const { plane } = openPlane({ clock, events });
    await plane.start();
    await plane.store.create(disk, { name: "a", spec });
    await clock.advance(1);
    expect(seen).toContain(resourceChanged.id);
    expect(plane.cache.list(disk)).toHaveLength(1);
    await plane.stop();
  });
});

describe("what an object owns", () => {
  test("goes with it, all the way down, and blocks it where it says so", async () => {
    const { plane, clock, provider } = open();
    await plane.start();
    const { object: root } = await plane.store.create(disk, { name: "root", spec });
    const { object: child } = await plane.store.create(disk, {
      name: "child",
      spec,
      ownerReferences: [ownedBy(root, { blockOwnerDeletion: true })],
    });
    await plane.store.create(disk, { name: "grandchild", spec, ownerReferences: [ownedBy(child)] });
    const { object: friend } = await plane.store.create(disk, { name: "friend", spec });
    await plane.store.create(disk, {
      name: "shared",
      spec,
      ownerReferences: [ownedBy(root), ownedBy(friend, { controller: false })],
    });
    await clock.advance(100);
    expect(provider.disks.size).toBe(5);
    await plane.store.addFinalizer(disk, { ...key, name: "child" }, "test.hold");
    const { task } = await plane.store.delete(disk, { ...key, name: "root" });
    await clock.advance(1_000);
    // The child waits for its hold, and the root for the child; the grandchild blocks nobody.
    expect(
      plane.cache
        .list(disk)
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(["child", "friend", "root", "shared"]);
    expect(task.state).not.toBe("succeeded");
    await plane.store.removeFinalizer(disk, { ...key, name: "child" }, "test.hold");
    await clock.advance(1_000);
    await task.wait();
    expect(
      plane.cache
        .list(disk)
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(["friend", "shared"]);
    await plane.store.delete(disk, { ...key, name: "friend" });
    await clock.advance(1_000);
    expect(provider.disks.size).toBe(0);
    await plane.stop();
  });

  test("is found at the next start when its owner went while nobody looked", async () => {
    const { plane, state, clock, provider } = open();
    const { object: root } = await plane.store.create(disk, { name: "root", spec });
    await plane.store.create(disk, { name: "child", spec, ownerReferences: [ownedBy(root)] });
    await plane.store.delete(disk, { ...key, name: "root" });
    await plane.store.removeFinalizer(disk, { ...key, name: "root" }, "test.disk");
    await plane.stop();
    const reopened = open(state, provider, clock);
    await reopened.plane.start();
    await clock.advance(1_000);
    expect(state.entries("objects/")).toEqual([]);
    await reopened.plane.stop();
  });
});

test("a failing state store is waited for", async () => {
  const memory = new MemoryState();
  const clock = createTestClock();
  const connection = memory.connect();
  let isDown = true;
  const flaky = {
    ...connection,
    list: (...args: Parameters<typeof connection.list>) =>
      isDown ? Promise.reject(new VdcError("UNAVAILABLE", "down")) : connection.list(...args),
  };
  const plane = createControlPlane({ state: flaky, datacenter: "dc-1", kinds: [disk], clock });
  const abort = new AbortController();
  const given = plane.start({ signal: abort.signal }).catch((error: unknown) => error);
  await clock.advance(1_000);
  abort.abort(new VdcError("CANCELLED", "enough"));
  expect(isVdcError(await given, "CANCELLED")).toBe(true);
  isDown = false;
  const started = plane.start();
  await clock.advance(20_000);
  await started;
  await plane.stop();
  expect(clock.pending).toBe(0);
});
