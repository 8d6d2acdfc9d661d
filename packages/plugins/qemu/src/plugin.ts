import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { type QemuConfig, qemuConfig } from "./config.ts";
import { QemuHypervisor } from "./qemu-hypervisor.ts";

/** VMs on QEMU, on the host in whose runtime the plugin runs. VMs go on when it stops. */
const plugin: Plugin = definePlugin<QemuConfig>({
  name: "@vdc-os/plugin-qemu",
  version: "0.1.0",
  core: "0.1",
  summary: "Virtual machines on QEMU.",
  provides: [provides(hypervisor, { name: fromConfig("name") })],
  config: qemuConfig,
  async setup(context, config) {
    const { logger, random } = context;
    const opened = await context.acquire(
      "QEMU hypervisor",
      () => QemuHypervisor.open({ config, logger, random }),
      (open) => open.close(),
    );
    context.provide(hypervisor, opened, { name: config.name });
  },
});

export default plugin;
