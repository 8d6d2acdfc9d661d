import { definePlugin, fromConfig, one, type Plugin, provides } from "@vdc-os/core";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type LinkedClonesConfig, linkedClonesConfig } from "./config.ts";
import { packageVersion } from "./describe-clones.ts";
import { openLinkedClones } from "./open-linked-clones.ts";

const requires = {
  base: one(storageProvider, { name: fromConfig("base") }),
  state: one(stateStore),
};

const plugin: Plugin = definePlugin<LinkedClonesConfig, typeof requires>({
  name: "@vdc-os/plugin-linked-clones",
  version: packageVersion,
  core: "0.1",
  summary:
    "Linked clones, lineage and deletes that never wait for children, on any storage provider that layers volumes.",
  provides: [provides(storageProvider, { name: fromConfig("name") })],
  requires,
  config: linkedClonesConfig,
  async setup(context, config) {
    const provider = await openLinkedClones({
      name: config.name,
      base: context.requires.base,
      state: context.requires.state,
      logger: context.logger,
      random: context.random,
      clock: context.clock,
      flattenAtDepth: config.flattenAtDepth,
      operation: () => context.operation(),
    });
    context.defer("what is done in the background", () => provider.close());
    context.provide(storageProvider, provider, { name: config.name });
  },
});

export default plugin;
