import { hypervisor } from "@vdc-os/core/compute/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { ComputeInstance } from "@vdc-os/ready/compute";
import { AcmeCompute } from "./acme-compute.ts";

/** What the compute suite is run on: the plugin, with a host of its own for each requirement. */
export async function create(kit: CertificationKit): Promise<ComputeInstance> {
  const config = { name: "certified", address: kit.folder() };
  const { volumes } = AcmeCompute.hostAt(config.address);
  const first = await kit.start(hypervisor, { config });
  return {
    implementation: first.implementation,
    spec: {
      cpus: 1,
      memoryBytes: 64 * 2 ** 20,
      boot: { kind: "kernel", kernel: "/none", commandLine: "quiet" },
      disks: [],
      nics: [],
    },
    greeting: "ready",
    reopen: async () => {
      await first.stop();
      return (await kit.start(hypervisor, { config })).implementation;
    },
    async makeVolume(capacityBytes) {
      const transport = { kind: "file", path: `/memory/${volumes.size}`, format: "raw" } as const;
      const content = new Uint8Array(capacityBytes);
      volumes.set(JSON.stringify(transport), content);
      return { transport, read: async () => content, write: async (bytes) => content.set(bytes) };
    },
  };
}
