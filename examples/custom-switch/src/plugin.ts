import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { z } from "zod";
import { HubSwitch } from "./hub-switch.ts";

const config = z.object({ name: z.string(), directory: z.string() });

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-hub-switch",
  version: "1.0.0",
  core: "0.1",
  summary: "A hub with VLANs, for VMs of one machine.",
  provides: [provides(distributedSwitch, { name: fromConfig("name") })],
  config,
  async setup(context, options) {
    const hub = await context.acquire(
      "hub",
      () => new HubSwitch(options),
      (opened) => opened.close(),
    );
    context.provide(distributedSwitch, hub, { name: options.name });
  },
});

export default plugin;
