import { createOperationContext } from "@vdc-os/core";
import { hypervisor } from "@vdc-os/core/compute/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { ComputeInstance } from "@vdc-os/ready/compute";
import { makeWorld } from "./plugin.ts";

/** What the compute suite is run on. */
export async function create(kit: CertificationKit): Promise<ComputeInstance> {
  const world = makeWorld(kit);
  const storage = world.storage();
  let running = await kit.start(hypervisor);
  let disks = 0;
  return {
    implementation: running.implementation,
    spec: {
      cpus: 1,
      memoryBytes: 64 << 20,
      boot: { kind: "kernel", kernel: "/none", commandLine: "vdc.host=certified" },
      disks: [],
      nics: [],
    },
    greeting: "VDC-READY",
    async reopen() {
      await running.stop();
      running = await kit.start(hypervisor);
      return running.implementation;
    },
    async makeVolume(capacityBytes) {
      disks += 1;
      const context = createOperationContext();
      const { volumeId } = await storage.createVolume({ name: `disk-${disks}`, capacityBytes }, context);
      const input = { volumeId, host: "host-1", access: "readWrite", generation: 1 } as const;
      const { transport } = await storage.attachVolume(input, context);
      return {
        transport,
        read: () => world.openTransport(transport).read(0, capacityBytes),
        write: (content) => world.openTransport(transport).write(0, content),
      };
    },
  };
}
