import { createOperationContext } from "@vdc-os/core";
import { expect, it } from "vitest";
import { numbered, patienceMs, waitForAll } from "./fleet.ts";
import { openSimulatedDatacenter } from "./open-simulated-datacenter.ts";

const gib = 2 ** 30;
const volumes = 12;
const context = createOperationContext();
const seeds: readonly number[] = Array.from({ length: process.env.VDC_DEEP ? 30 : 2 }, (_, index) => index + 1);

it.each(seeds)(
  "each volume of a policy is on one storage, and its snapshot beside it, while calls fail, lose their answer and find no room (seed %i)",
  async (seed) => {
    const pool = { totalBytes: 40 * gib, maxOverSubscription: 1 };
    await using opened = await openSimulatedDatacenter({
      hostMemoryBytes: [gib],
      storages: ["a", "b"],
      world: { seed, pools: { a: pool, b: pool, storage: { ...pool, attributes: { media: "hdd" } } } },
      more: { storagePollIntervalMs: 50 },
    });
    const { dc, world } = opened;
    const point = "vdc.storage";
    world.faults.add({ point, probability: 0.05, error: "UNAVAILABLE" });
    world.faults.add({ point, probability: 0.05, crashAfter: true });
    world.faults.add({ point, operation: "createVolume", probability: 0.2, error: "RESOURCE_EXHAUSTED" });
    await dc.storagePolicies.createAndWait({ name: "quick", spec: { attributes: { media: { in: ["memory"] } } } });
    const names = numbered("disk", volumes);
    await Promise.all(
      names.map(async (name) => {
        // A pool may say that it has no room, though it has: then the volume waits to be asked for again.
        for (let capacityBytes = gib; ; capacityBytes += 4096) {
          const { task } = await dc.volumes
            .create({ name, spec: { policy: "quick", capacityBytes: gib } })
            .catch(() => dc.volumes.update(name, ({ spec }) => ({ ...spec, capacityBytes })));
          const outcome = await task.wait({ timeoutMs: patienceMs }).catch((error: unknown) => error);
          if (!(outcome instanceof Error)) return;
          await dc.volumes.update(name, ({ spec }) => ({ ...spec, capacityBytes: capacityBytes + 4096 }));
        }
      }),
    );
    const snapshots = await Promise.all(
      names.map((name) => dc.volumeSnapshots.create({ name: `of-${name}`, spec: { volume: name } })),
    );
    await waitForAll(snapshots.map(({ task }) => task));
    world.faults.clear();

    const found = new Map<string, string[]>();
    for (const storage of ["a", "b", "storage"]) {
      const { items } = await world.storage(storage).listVolumes({}, context);
      for (const { owner } of items) found.set(owner?.name ?? "", [...(found.get(owner?.name ?? "") ?? []), storage]);
    }
    const objects = await dc.volumes.list();
    expect([...found.keys()].sort()).toEqual([...names].sort());
    for (const { metadata, status } of objects) expect(found.get(metadata.name)).toEqual([status.storage]);
    for (const { spec, status } of await dc.volumeSnapshots.list()) {
      expect(status.storage).toBe(objects.find(({ metadata }) => metadata.name === spec.volume)?.status.storage);
    }
    expect((await dc.sweep({ dryRun: true })).removed).toEqual([]);
    await dc.close();
    for (const storage of ["a", "b", "storage"]) {
      expect((await world.storage(storage).listVolumes({}, context)).items).toEqual([]);
    }
  },
);
