import { silentLogger } from "@vdc-os/core";
import { createTestClock, createTestRandom } from "@vdc-os/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { disk } from "../../test/disk-kind.ts";
import { MemoryState } from "../../test/memory-state-store.ts";
import { openPlane } from "../../test/open-plane.ts";
import { isBeingDeleted, ownedBy, type Resource } from "../resource/resource.ts";
import { stateKeyOf } from "../resource/resource-key.ts";
import { ObjectCache } from "./object-cache.ts";

const spec = { sizeBytes: 512 };
const step = fc.record({
  type: fc.constantFrom("create", "own", "grow", "remove", "look", "gap"),
  name: fc.constantFrom("a", "b", "c"),
});

test("the cache shows what a list shows, and tells each way there, gaps or not", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const memory = new MemoryState();
      const { store } = openPlane({ memory }).plane;
      const clock = createTestClock();
      const kinds = new Map([[disk.kind, disk]]);
      const cache = new ObjectCache({
        state: memory.connect(),
        kinds,
        clock,
        random: createTestRandom(),
        logger: silentLogger,
      });
      const told = new Map<string, Resource>();
      cache.onChange(({ type, object, old }) => {
        const { name, uid } = object.metadata;
        const known = told.get(name);
        if (type === "added") expect(known).toBeUndefined();
        else expect(known?.metadata.uid).toBe(uid);
        if (type === "modified") expect(old).toEqual(known);
        if (type === "deleted") told.delete(name);
        else told.set(name, object);
      });
      await cache.start();
      for (const { type, name } of steps) {
        const key = { tenant: "default", name };
        const object = await store.find(disk, key);
        if (type === "look") await clock.advance(50);
        else if (type === "gap") {
          // At one go: the watch has no turn before what went is compacted away.
          memory.commit({ compare: [], operations: [{ type: "delete", key: stateKeyOf(disk.kind, key) }] });
          memory.compact();
        } else if (type === "remove" && object !== undefined) {
          await store.delete(disk, key);
          for (const finalizer of object.metadata.finalizers) await store.removeFinalizer(disk, key, finalizer);
        } else if (type === "grow" && object !== undefined) {
          await store.update(disk, key, { sizeBytes: object.spec.sizeBytes + 512 });
        } else if (object === undefined) {
          const [owner] = (await store.list(disk)).items.filter((other) => !isBeingDeleted(other));
          const ownerReferences = type === "own" && owner !== undefined ? [ownedBy(owner)] : [];
          await store.create(disk, { name, spec, ownerReferences });
        }
      }
      await clock.advance(1_000);
      const listed = (await store.list(disk)).items;
      const byName = (all: Iterable<Resource>) => [...all].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      expect(byName(cache.all())).toEqual(listed);
      expect(byName(cache.list(disk, { tenant: "default" }))).toEqual(listed);
      expect(byName(told.values())).toEqual(listed);
      for (const uid of listed.flatMap(({ metadata }) => [
        metadata.uid,
        ...metadata.ownerReferences.map((one) => one.uid),
      ])) {
        const owned = listed.filter(({ metadata }) => metadata.ownerReferences.some((owner) => owner.uid === uid));
        expect(byName(cache.ownedBy(uid))).toEqual(owned);
      }
      await cache.stop();
      expect(clock.pending).toBe(0);
    }),
    { seed: 20_260_110, numRuns: process.env.VDC_DEEP ? 3_000 : 150 },
  );
});
