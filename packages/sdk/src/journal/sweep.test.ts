import { type OwnerStamp, silentLogger, VdcError } from "@vdc-os/core";
import { createTestClock } from "@vdc-os/core/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { disk } from "../../test/disk-kind.ts";
import { FakeProvider } from "../../test/fake-provider.ts";
import { openPlane } from "../../test/open-plane.ts";
import { externalNameOf } from "./external-name.ts";
import { findOrphans, type ObservedExternal } from "./find-orphans.ts";
import type { Intent } from "./intent-journal.ts";
import { sweep, type SweepOptions } from "./sweep.ts";

const stamp = (uid: string, datacenter = "dc-1"): OwnerStamp => ({
  datacenter,
  tenant: "t",
  kind: "Disk",
  name: "n",
  uid,
});

const uid = fc.constantFrom("u1", "u2", "u3", "u4");
const externalName = fc.constantFrom("x1", "x2", "x3");
const provider = fc.constantFrom("p1", "p2");
const observed: fc.Arbitrary<ObservedExternal> = fc.record({
  provider,
  externalName,
  owner: fc.option(
    fc.tuple(uid, fc.constantFrom("dc-1", "dc-2")).map(([id, datacenter]) => stamp(id, datacenter)),
    { nil: undefined },
  ),
});
const intent: fc.Arbitrary<Intent> = fc
  .record({
    provider,
    externalName,
    uid,
    beganAt: fc.integer({ min: 0, max: 200 }),
    action: fc.constantFrom("create", "delete"),
  })
  .map(({ uid: id, ...rest }) => ({
    ...rest,
    id: "i",
    target: { kind: "Disk", tenant: "t", name: "n", uid: id },
    owner: stamp(id),
  }));

describe("findOrphans", () => {
  test("puts everything in one list, and calls an orphan only what is ours, of no object, and not under way", () => {
    fc.assert(
      fc.property(fc.array(observed), fc.array(uid), fc.array(intent), (all, uids, pending) => {
        const objects = new Set<string>(uids);
        const input = { datacenter: "dc-1", observed: all, objects, pending, now: 200, graceMs: 100 };
        const plan = findOrphans(input);
        const { orphans, deferred, foreign, inUse } = plan;
        const listed = [...[...orphans, ...deferred, ...foreign].map(({ external }) => external), ...inUse];
        expect(new Set(listed)).toEqual(new Set(all));
        expect(listed).toHaveLength(all.length);
        for (const { external } of orphans) {
          expect(external.owner?.datacenter).toBe("dc-1");
          expect(objects.has(external.owner?.uid ?? "")).toBe(false);
          const about = pending.filter(
            (one) => one.provider === external.provider && one.externalName === external.externalName,
          );
          for (const one of about) expect(one.beganAt).toBeLessThanOrEqual(100);
        }
        for (const { external } of foreign) expect(external.owner?.datacenter).not.toBe("dc-1");
        for (const one of plan.settled) expect(objects.has(one.target.uid)).toBe(false);
      }),
      { seed: 20_260_108, numRuns: process.env.VDC_DEEP ? 50_000 : 1_000 },
    );
  });
});

function world() {
  const clock = createTestClock();
  const { plane, connection } = openPlane({ clock });
  const fake = new FakeProvider();
  const options: SweepOptions = {
    state: connection,
    journal: plane.journal,
    datacenter: "dc-1",
    targets: [fake.sweepTarget()],
    clock,
    logger: silentLogger,
  };
  const put = (name: string, owner?: OwnerStamp): void => void fake.disks.set(name, { name, sizeBytes: 1, owner });
  return { clock, plane, fake, options, put };
}

describe("a sweep", () => {
  test("deletes what our stamp names and no object has, and reports the rest", async () => {
    const { plane, fake, options, put } = world();
    const { object } = await plane.store.create(disk, { name: "a", spec: { sizeBytes: 512 } });
    put("used", plane.journal.stampOf(object));
    put("orphan", stamp("gone"));
    put("theirs", stamp("gone", "dc-2"));
    put("bare");
    const dry = await sweep({ ...options, dryRun: true });
    expect(dry.removed.map(({ external }) => external.externalName)).toEqual(["orphan"]);
    expect(fake.disks.size).toBe(4);
    const report = await sweep(options);
    expect(report.removed).toMatchObject([{ external: { externalName: "orphan" }, reason: "Disk 'n' (gone) is gone" }]);
    expect(report.foreign.map(({ external }) => external.externalName)).toEqual(["theirs", "bare"]);
    expect([...fake.disks.keys()]).toEqual(["used", "theirs", "bare"]);
  });

  test("waits for what is under way", async () => {
    const { plane, clock, fake, options, put } = world();
    const { object } = await plane.store.create(disk, { name: "a", spec: { sizeBytes: 512 } });
    await plane.journal.begin({ object, provider: "fake", action: "create", externalName: "x" });
    put("x", plane.journal.stampOf(object));
    await plane.store.delete(disk, { tenant: "default", name: "a" });
    await plane.store.removeFinalizer(disk, { tenant: "default", name: "a" }, "test.disk");
    expect(await sweep(options)).toMatchObject({ removed: [], deferred: [{ external: { externalName: "x" } }] });
    await clock.advance(600_000);
    expect(await sweep(options)).toMatchObject({ removed: [{ external: { externalName: "x" } }], deferred: [] });
    expect(await plane.journal.pending()).toEqual([]);
    expect(fake.disks.size).toBe(0);
  });

  test("leaves what has changed hands meanwhile, and what it cannot ask", async () => {
    const { plane, fake, options, put, clock } = world();
    put("x", stamp("gone"));
    const target = fake.sweepTarget();
    const turned = { ...target, find: async () => ({ provider: "fake", externalName: "x", owner: stamp("new") }) };
    expect(await sweep({ ...options, targets: [turned] })).toMatchObject({ removed: [], failed: [] });
    const { object } = await plane.store.create(disk, { name: "a", spec: { sizeBytes: 512 } });
    await plane.journal.begin({ object, provider: "down", action: "create", externalName: "y" });
    await plane.store.delete(disk, { tenant: "default", name: "a" });
    await plane.store.removeFinalizer(disk, { tenant: "default", name: "a" }, "test.disk");
    await clock.advance(600_000);
    const down = { ...target, provider: "down", list: () => Promise.reject(new VdcError("UNAVAILABLE", "no route")) };
    const stuck = { ...target, remove: () => Promise.reject(new VdcError("FAILED_PRECONDITION", "in use")) };
    const report = await sweep({ ...options, targets: [down, stuck] });
    expect(report).toMatchObject({
      removed: [],
      failed: [{ external: { externalName: "x" }, reason: "in use" }],
      unreachable: [{ provider: "down", reason: "no route" }],
    });
    // What may be there is not forgotten.
    expect(await plane.journal.pending()).toHaveLength(1);
    expect(fake.disks.size).toBe(1);
  });
});

test("an external name follows from the object, fits, and differs for another uid", () => {
  const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/);
  fc.assert(
    fc.property(name, fc.uuid(), fc.uuid(), (one, first, second) => {
      const at = (id: string) => externalNameOf({ metadata: { name: one, uid: id } } as never, "nic-0");
      expect(at(first)).toBe(at(first));
      expect(at(first)).toMatch(/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/);
      if (first.replaceAll("-", "").slice(0, 12) !== second.replaceAll("-", "").slice(0, 12))
        expect(at(first)).not.toBe(at(second));
    }),
    { seed: 20_260_109 },
  );
});
