import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { use } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { createTestKernel } from "@vdc-os/core/testing";
import { describe, expect, it } from "vitest";
import plugin, { simulator } from "./plugin.ts";
import { SimulatedWorld } from "./world/simulated-world.ts";

describe("the simulator as a plugin", () => {
  it("provides every point, and leaves nothing behind", async () => {
    const kernel = await createTestKernel({ plugins: [plugin] });
    const named = [
      kernel.all(storageProvider),
      kernel.all(distributedSwitch),
      kernel.all(cloudConnector),
      kernel.all(stateStore),
      kernel.all(secretStore),
    ];
    for (const providers of named) expect(providers.names()).toEqual(["simulated"]);
    for (const hosts of [kernel.all(hypervisor), kernel.all(hostRuntime)]) expect(hosts.names()).toEqual(["host-1"]);
    await kernel.get(stateStore).grantLease({ ttlMs: 60_000 });
    const { vmId } = await kernel.get(hypervisor).createVm({
      name: "web",
      spec: { cpus: 1, memoryBytes: 1 << 20, boot: { kind: "disk" }, disks: [], nics: [] },
    });
    expect((await kernel.get(hypervisor).startVm({ vmId, generation: 1 })).state).toBe("running");
  });

  it("provides the points and hosts that were chosen, under the name that was chosen", async () => {
    const chosen = simulator({ points: ["storage", "compute"], hosts: ["a", "b"] });
    const kernel = await createTestKernel({ plugins: [use(chosen, { config: { name: "fast" } })] });
    expect(kernel.all(storageProvider).names()).toEqual(["fast"]);
    expect(kernel.all(hypervisor).names()).toEqual(["a", "b"]);
    expect(kernel.all(stateStore).names()).toEqual([]);
  });

  it("shows a world that outlives the kernel", async () => {
    const world = new SimulatedWorld();
    for (const expected of [1, 2]) {
      const kernel = await createTestKernel({ plugins: [simulator({ world, points: ["state", "storage"] })] });
      const { revision } = await kernel.get(stateStore).transact({
        compare: [],
        operations: [{ type: "put", key: "starts", value: expected }],
      });
      expect(revision).toBe(expected);
      await kernel.get(storageProvider).createVolume({ name: "disk", capacityBytes: 4096 });
      expect((await kernel.get(storageProvider).listVolumes({})).items).toHaveLength(1);
      await kernel.stop();
    }
  });

  it("refuses a config that it can't follow", async () => {
    const refused = createTestKernel({ plugins: [use(plugin, { config: { name: "simulated", latencyMs: -1 } })] });
    await expect(refused).rejects.toThrowError(/latencyMs/);
  });
});
