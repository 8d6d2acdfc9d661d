import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type ReflinkConfig, reflinkConfig } from "./config.ts";
import { packageVersion } from "./describe-pool.ts";
import { ReflinkPool } from "./reflink-pool.ts";
import { ReflinkStorageProvider } from "./reflink-storage-provider.ts";

const plugin: Plugin = definePlugin<ReflinkConfig>({
  name: "@vdc-os/plugin-reflink",
  version: packageVersion,
  core: "0.1",
  summary: "Volumes as raw files; snapshots and clones share their blocks through the file system (XFS, btrfs).",
  provides: [provides(storageProvider, { name: fromConfig("name") })],
  config: reflinkConfig,
  async setup(context, config) {
    const pool = await context.acquire(
      `pool '${config.name}'`,
      () => ReflinkPool.open(config, context.logger),
      (opened) => opened.close(),
    );
    context.provide(storageProvider, new ReflinkStorageProvider(pool), { name: config.name });
  },
});

export default plugin;
