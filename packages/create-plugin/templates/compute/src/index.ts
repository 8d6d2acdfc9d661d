import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { z } from "zod";
import { AcmeCompute } from "./acme-compute.ts";
import { MemoryHost } from "./memory-host.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider, which is that of its host. */
  name: z.string(),
  /** Where the host is. */
  address: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-compute",
  version,
  core: "0.1",
  summary: "VMs on Acme hypervisors.",
  provides: [provides(hypervisor, { name: fromConfig("name") })],
  config,
  setup(context, { name, address }) {
    context.provide(hypervisor, new AcmeCompute(MemoryHost.at(address)), { name });
  },
});

export default plugin;
