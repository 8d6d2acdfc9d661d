import { expect, it } from "vitest";
import { expectOneOfEach, numbered, patienceMs, prepare, requestVms, vmMemoryBytes, waitForAll } from "./fleet.ts";
import { openSimulatedDatacenter } from "./open-simulated-datacenter.ts";
import { emptyInventory, takeInventory } from "./world-inventory.ts";

const vms = 40;

const seeds: readonly number[] = Array.from({ length: process.env.VDC_DEEP ? 40 : 3 }, (_, index) => index + 1);

const points = ["vdc.storage", "vdc.network", "vdc.compute"];

it.each(seeds)(
  "converges with one of each while a tenth of the calls fail or lose their answer (seed %i)",
  async (seed) => {
    const hostMemoryBytes = Array.from({ length: 8 }, () => (vms / 8) * vmMemoryBytes);
    await using opened = await openSimulatedDatacenter({ hostMemoryBytes, world: { seed } });
    const { dc, world } = opened;
    for (const point of points) {
      world.faults.add({ point, probability: 0.05, error: "UNAVAILABLE" });
      world.faults.add({ point, probability: 0.05, crashAfter: true });
    }
    await prepare(opened);
    await waitForAll(await requestVms(dc, numbered("web", vms)));
    const gone = numbered("web", vms / 2);
    await Promise.all(gone.map((name) => dc.vms.deleteAndWait(name, { timeoutMs: patienceMs })));
    // In the room that this made.
    await waitForAll(await requestVms(dc, numbered("web", vms / 2, vms + 1)));
    const failed = world.log.calls().filter(({ outcome }) => outcome === "UNAVAILABLE").length;
    expect(failed).toBeGreaterThan(50);

    world.faults.clear();
    const found = await expectOneOfEach(opened);
    expect(found.vms).toHaveLength(vms);
    expect((await dc.sweep({ dryRun: true })).removed).toEqual([]);

    await dc.close();
    expect(await takeInventory(world)).toEqual(emptyInventory);
  },
);
