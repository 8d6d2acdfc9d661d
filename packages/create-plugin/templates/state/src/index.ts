import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { stateStore } from "@vdc-os/core/state/v1";
import { z } from "zod";
import { AcmeState } from "./acme-state.ts";
import { MemoryDatabase } from "./memory-database.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the database is. */
  address: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-state",
  version,
  core: "0.1",
  summary: "The datacenter's state in Acme databases.",
  provides: [provides(stateStore, { name: fromConfig("name") })],
  config,
  async setup(context, { name, address }) {
    const store = await context.acquire(
      `database at '${address}'`,
      () => new AcmeState(MemoryDatabase.at(address), context.clock),
      (opened) => opened.close(),
    );
    context.provide(stateStore, store, { name });
  },
});

export default plugin;
