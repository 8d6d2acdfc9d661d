import { hypervisor } from "@vdc-os/core/compute/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { ComputeInstance } from "@vdc-os/ready/compute";

/** What the compute suite is run on: the plugin, with a host of its own for each requirement. */
export async function create(kit: CertificationKit): Promise<ComputeInstance> {
  const config = { name: "certified", address: kit.folder() };
  const first = await kit.start(hypervisor, { config });
  return {
    implementation: first.implementation,
    // The smallest VM that boots. Facets that move, copy or grow disks need `makeVolume` besides.
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
  };
}
