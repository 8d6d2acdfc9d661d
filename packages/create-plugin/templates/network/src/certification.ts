import { distributedSwitch } from "@vdc-os/core/network/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { AcmeNetwork } from "./acme-network.ts";

/** What the network suite is run on: the plugin, with switches of its own for each requirement, and two hosts. */
export async function create(kit: CertificationKit): Promise<NetworkInstance> {
  const config = { name: "certified", address: kit.folder() };
  const first = await kit.start(distributedSwitch, { config });
  const network = AcmeNetwork.at(config.address);
  return {
    implementation: first.implementation,
    hosts: ["host-a", "host-b"],
    openNic: async (binding) => network.openNic(binding),
    openUplink: async (_host, { name }) => network.openUplink(name),
    restart: async () => {
      await first.stop();
      return (await kit.start(distributedSwitch, { config })).implementation;
    },
  };
}
