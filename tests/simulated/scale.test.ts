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
import { openSimulatedDatacenter } from "./open-simulated-datacenter.ts";
import { emptyInventory, takeInventory } from "./world-inventory.ts";

const vms = 100;

/** Room for a hundred VMs, and not for one more. */
const hostMemoryBytes = [13, 12, 13, 12, 13, 12, 13, 12].map((count) => count * vmMemoryBytes);

for (const state of ["memory", "sqlite"] as const) {
  it(`a hundred VMs fill eight hosts to the last byte, and leave nothing when the datacenter closes (state: ${state})`, async () => {
    await using opened = await openSimulatedDatacenter({ hostMemoryBytes, state });
    const { dc, world } = opened;
    await prepare(opened);
    await waitForAll(await requestVms(dc, numbered("web", vms)));
    const found = await expectOneOfEach(opened);
    expect(found.vms).toHaveLength(vms);
    expect(found.ports).toHaveLength(vms);
    expect(found.volumes).toHaveLength(vms + 1);
    // Placement knew what fits: no hypervisor had to refuse.
    expect(world.log.calls({ operation: "startVm" }).filter(({ outcome }) => outcome !== "ok")).toEqual([]);

    const { task } = await dc.vms.create({ name: "one-too-many", spec: vmSpec });
    await expect(task.wait({ timeoutMs: patienceMs })).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reason: "VDC_NO_HOST",
    });

    await dc.close();
    expect(await takeInventory(world)).toEqual(emptyInventory);
  });
}
