import { definePlugin, fromConfig, one, type Plugin, provides } from "@vdc-os/core";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type CsiStorageConfig, csiStorageConfig } from "./config.ts";
import { packageVersion } from "./package-version.ts";
import { openCsiStorage } from "./provider/open-csi-storage.ts";

const requires = { state: one(stateStore) };
const uses = { secrets: one(secretStore) };

const plugin: Plugin = definePlugin<CsiStorageConfig, typeof requires, typeof uses>({
  name: "@vdc-os/plugin-csi",
  version: packageVersion,
  core: "0.1",
  summary: "Any CSI driver as a storage provider.",
  provides: [provides(storageProvider, { name: fromConfig("name") })],
  requires,
  uses,
  config: csiStorageConfig,
  async setup(context, config) {
    const storage = await context.acquire(
      "CSI driver",
      () =>
        openCsiStorage({
          config,
          state: context.requires.state,
          secrets: context.uses.secrets,
          logger: context.logger,
          operation: () => context.operation(),
        }),
      (opened) => opened.close(),
    );
    context.provide(storageProvider, storage.provider, { name: config.name });
  },
});

export default plugin;
