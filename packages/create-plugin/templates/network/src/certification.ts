import { distributedSwitch } from "@vdc-os/core/network/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { MemoryNetwork } from "./memory-network.ts";

/** What the network suite is run on: the plugin, with a network of two hosts for each requirement. */
export async function create(kit: CertificationKit): Promise<NetworkInstance> {
  const config = { name: "certified", address: kit.folder() };
  const first = await kit.start(distributedSwitch, { config });
  return {
    implementation: first.implementation,
    hosts: ["host-a", "host-b"],
    // Facets of the uplinks need `openUplink` besides.
    openNic: async (binding) => MemoryNetwork.at(config.address).openNic(binding),
    restart: async () => {
      await first.stop();
      return (await kit.start(distributedSwitch, { config })).implementation;
    },
  };
}
