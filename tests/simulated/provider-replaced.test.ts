import { Kernel } from "@vdc-os/core/kernel";
import { simulator } from "@vdc-os/plugin-simulator";
import { expect, it } from "vitest";
import { expectOneOfEach, numbered, prepare, waitForAll } from "./fleet.ts";
import { openSimulatedDatacenter, storagePlugin } from "./open-simulated-datacenter.ts";

it.each([true, false])("fifty clones go on while their storage provider is replaced (overlap: %s)", async (overlap) => {
  await using opened = await openSimulatedDatacenter({
    hostMemoryBytes: [2 ** 30],
    world: { latencyMs: { "vdc.storage.clones.cloneVolume": 50, "*": 0 } },
  });
  const { dc, world } = opened;
  await prepare(opened);
  const { kernel } = dc;
  if (!(kernel instanceof Kernel)) throw new Error("the datacenter's kernel can't replace plugins");
  const spec = { storage: "storage", content: { kind: "clone", volume: "golden", want: "linked" } } as const;
  const accepted = await Promise.all(numbered("clone", 50).map((name) => dc.volumes.create({ name, spec })));
  const done = waitForAll(accepted.map(({ task }) => task));
  for (let times = 0; times < 2; times += 1) {
    // Only once some clones are under way, so that there is something to disturb.
    const before = world.log.count({ operation: "clones.cloneVolume" });
    await expect
      .poll(() => world.log.count({ operation: "clones.cloneVolume" }), { interval: 2 })
      .toBeGreaterThan(before);
    await kernel.replace(storagePlugin, simulator({ world, points: ["storage"], hosts: [] }), { overlap });
  }
  await done;
  const found = await expectOneOfEach(opened);
  expect(found.volumes).toHaveLength(51);
});
