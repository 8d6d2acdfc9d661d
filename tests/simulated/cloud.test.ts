import { expect, it } from "vitest";
import { numbered, patienceMs, waitForAll } from "./fleet.ts";
import { openSimulatedDatacenter } from "./open-simulated-datacenter.ts";
import { emptyInventory, repeated, takeInventory } from "./world-inventory.ts";

const spec = { cloud: "cloud", image: "debian", size: "small", networks: ["default"] };

it("a cloud that loses its answers gets no second instance", async () => {
  await using opened = await openSimulatedDatacenter({
    hostMemoryBytes: [],
    world: { cloud: { createMs: 5, removeMs: 5 } },
  });
  const { dc, world } = opened;
  const create = { point: "vdc.cloud", operation: "createInstance" } as const;
  world.faults.add({ ...create, nth: 1, crashAfter: true });
  world.faults.add({ ...create, probability: 0.5, crashAfter: true });
  world.faults.add({ point: "vdc.cloud", operation: "observeInstance", probability: 0.2, error: "UNAVAILABLE" });
  world.faults.add({ point: "vdc.cloud", operation: "removeInstance", probability: 0.3, crashAfter: true });
  const accepted = await Promise.all(numbered("burst", 30).map((name) => dc.cloudInstances.create({ name, spec })));
  await waitForAll(accepted.map(({ task }) => task));
  const { instances } = world.cloudAccount("cloud");
  expect(instances).toHaveLength(30);
  expect(repeated(instances.map(({ stamp }) => stamp?.token ?? ""))).toEqual([]);
  expect(world.log.calls(create).some(({ outcome }) => outcome === "UNAVAILABLE")).toBe(true);
  await dc.close();
  expect(await takeInventory(world)).toEqual(emptyInventory);
});

it("a cloud's quota fails the task with the reason, and what was there stays", async () => {
  await using opened = await openSimulatedDatacenter({ hostMemoryBytes: [], world: { cloud: { maxInstances: 2 } } });
  const { dc, world } = opened;
  for (const name of numbered("burst", 2)) await dc.cloudInstances.createAndWait({ name, spec });
  const { task } = await dc.cloudInstances.create({ name: "one-too-many", spec });
  await expect(task.wait({ timeoutMs: patienceMs })).rejects.toMatchObject({
    code: "RESOURCE_EXHAUSTED",
    message: expect.stringContaining("takes 2 instances"),
  });
  expect(world.cloudAccount("cloud").instances.map(({ state }) => state)).toEqual(["running", "running"]);
  await dc.cloudInstances.deleteAndWait("one-too-many", { timeoutMs: patienceMs });
  await dc.close();
  expect(await takeInventory(world)).toEqual(emptyInventory);
});
