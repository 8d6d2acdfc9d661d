import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { stateStore } from "@vdc-os/core/state/v1";
import { z } from "zod";
import { AcmeState } from "./acme-state.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the system behind it is. */
  address: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-state",
  version,
  core: "0.1",
  summary: "The datacenter's state in Acme databases.",
  provides: [provides(stateStore, { name: fromConfig("name") })],
  config,
  setup(context, { name, address }) {
    context.provide(stateStore, new AcmeState(address, context.clock), { name });
  },
});

export default plugin;
