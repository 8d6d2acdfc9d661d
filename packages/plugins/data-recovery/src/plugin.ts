import { all, definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type DataRecoveryConfig, dataRecoveryConfig } from "./config.ts";
import { packageVersion } from "./data-recovery-provider.ts";
import { openDataRecovery } from "./open-data-recovery.ts";

const requires = { storage: all(storageProvider) };

const plugin: Plugin = definePlugin<DataRecoveryConfig, typeof requires>({
  name: "@vdc-os/plugin-data-recovery",
  version: packageVersion,
  core: "0.1",
  summary:
    "Full and incremental backup of disks in use, restore and retention, in a deduplicating repository on a folder.",
  provides: [provides(backupRepository, { name: fromConfig("name") })],
  requires,
  config: dataRecoveryConfig,
  async setup(context, config) {
    const { provider } = await context.acquire(
      `repository '${config.name}'`,
      () => openDataRecovery({ ...config, storage: context.requires.storage }),
      (opened) => opened.close(),
    );
    context.provide(backupRepository, provider, { name: config.name });
  },
});

export default plugin;
