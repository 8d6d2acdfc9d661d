import { expect, it } from "vitest";
import {
  expectOneOfEach,
  numbered,
  patienceMs,
  prepare,
  requestVms,
  vmMemoryBytes,
  vmSpec,
  waitForAll,
} from "./fleet.ts";
import { openSimulatedDatacenter, type SimulatedDatacenter } from "./open-simulated-datacenter.ts";
import { emptyInventory, takeInventory } from "./world-inventory.ts";

const hostMemoryBytes = Array.from({ length: 4 }, () => 20 * vmMemoryBytes);

async function hostIs({ dc }: SimulatedDatacenter, name: string, state: "connected" | "disconnected"): Promise<void> {
  const read = async () => (await dc.hosts.get(name)).status.state;
  await expect.poll(read, { interval: 10, timeout: patienceMs }).toBe(state);
}

/** The VMs' `Ready` conditions, by host. */
async function readiness({ dc }: SimulatedDatacenter, host: string): Promise<ReadonlySet<string>> {
  const vms = (await dc.vms.list()).filter(({ status }) => status.host === host);
  return new Set(vms.map(({ conditions }) => conditions.find(({ type }) => type === "Ready")?.status ?? "none"));
}

/** Waits until nothing is under way but on a host that is gone. */
async function waitForOthers({ dc }: SimulatedDatacenter, gone: string): Promise<void> {
  const waiting = async () =>
    (await dc.vms.list())
      .filter(({ status, metadata }) => status.host !== gone && metadata.pendingTasks.length > 0)
      .map(({ metadata }) => metadata.name);
  await expect.poll(waiting, { interval: 20, timeout: patienceMs }).toEqual([]);
}

it("a host that fails while VMs run and are created takes nobody else along, and all is well when it returns", async () => {
  await using opened = await openSimulatedDatacenter({ hostMemoryBytes });
  const { dc, world } = opened;
  await prepare(opened);
  await waitForAll(await requestVms(dc, numbered("before", 16)));
  const running = (await takeInventory(world)).vms.filter(({ host }) => host !== "h2");

  const creating = await requestVms(dc, numbered("during", 24));
  await expect.poll(() => world.log.count({ operation: "startVm" }), { interval: 1 }).toBeGreaterThan(16 + 4);
  world.host("h2").fail();
  await hostIs(opened, "h2", "disconnected");
  await waitForOthers(opened, "h2");
  expect(creating.filter(({ error }) => error !== undefined)).toEqual([]);

  // Whether those of the failed host run is not known; the others do.
  await expect.poll(() => readiness(opened, "h2"), { interval: 10, timeout: patienceMs }).toEqual(new Set(["Unknown"]));
  for (const host of ["h1", "h3", "h4"]) expect(await readiness(opened, host)).toEqual(new Set(["True"]));

  // Changes of what the failed host has a part in do not wait for it either.
  await dc.switches.apply("lan", { portGroups: [{ name: "web" }, { name: "late" }] });
  const late = { nics: [{ switch: "lan", portGroup: "late" }] };
  await waitForAll(await requestVms(dc, numbered("after", 12), late));
  for (const { status } of await Promise.all(numbered("after", 12).map((name) => dc.vms.get(name)))) {
    expect(status.host).not.toBe("h2");
  }
  const { task: pinned } = await dc.vms.create({ name: "pinned", spec: { ...vmSpec, host: "h2" } });

  world.host("h2").restore();
  await hostIs(opened, "h2", "connected");
  await waitForAll([...creating, pinned]);
  for (const host of opened.hosts)
    await expect.poll(() => readiness(opened, host), { interval: 10, timeout: patienceMs }).toEqual(new Set(["True"]));
  const found = await expectOneOfEach(opened);
  expect(found.vms).toHaveLength(16 + 24 + 12 + 1);
  // VMs on other hosts were left alone: neither started again nor moved.
  const now = new Map(found.vms.map((vm) => [vm.name, vm]));
  for (const vm of running) expect(now.get(vm.name)).toEqual(vm);

  await dc.close();
  expect(await takeInventory(world)).toEqual(emptyInventory);
});

it("VMs of a host that was only cut off are adopted as they run", async () => {
  await using opened = await openSimulatedDatacenter({ hostMemoryBytes });
  const { dc, world } = opened;
  await prepare(opened);
  await waitForAll(await requestVms(dc, numbered("web", 16)));
  const before = await takeInventory(world);
  world.host("h3").partition();
  await hostIs(opened, "h3", "disconnected");
  await expect.poll(() => readiness(opened, "h3"), { interval: 10, timeout: patienceMs }).toEqual(new Set(["Unknown"]));
  world.host("h3").restore();
  await hostIs(opened, "h3", "connected");
  await expect.poll(() => readiness(opened, "h3"), { interval: 10, timeout: patienceMs }).toEqual(new Set(["True"]));
  const after = await expectOneOfEach(opened);
  expect(after.vms).toEqual(before.vms);
});
