import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { z } from "zod";
import { AcmeNetwork } from "./acme-network.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the network is. */
  address: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-network",
  version,
  core: "0.1",
  summary: "Switches of Acme networks.",
  provides: [provides(distributedSwitch, { name: fromConfig("name") })],
  config,
  setup(context, { name, address }) {
    context.provide(distributedSwitch, new AcmeNetwork(MemoryNetwork.at(address)), { name });
  },
});

export default plugin;
