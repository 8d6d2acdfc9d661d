import { all, definePlugin, fromConfig, one, type Plugin, provides } from "@vdc-os/core";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type ThinProvisioningConfig, thinProvisioningConfig } from "./config.ts";
import { packageVersion } from "./describe-pool.ts";
import { ThinPool } from "./thin-pool.ts";
import { ThinStorageProvider } from "./thin-storage-provider.ts";

const requires = { hosts: all(hostRuntime) };
const uses = { secrets: one(secretStore) };

const plugin: Plugin = definePlugin<ThinProvisioningConfig, typeof requires, typeof uses>({
  name: "@vdc-os/plugin-thin-provisioning",
  version: packageVersion,
  core: "0.1",
  summary: "Thin-provisioned qcow2 volumes on a folder, served to VMs by a storage process on each host.",
  provides: [provides(storageProvider, { name: fromConfig("name") })],
  requires,
  uses,
  config: thinProvisioningConfig,
  async setup(context, config) {
    const pool = await context.acquire(
      `pool '${config.name}'`,
      () =>
        ThinPool.open({
          ...config,
          hosts: context.requires.hosts,
          logger: context.logger,
          clock: context.clock,
          random: context.random,
          secrets: context.uses.secrets,
        }),
      (opened) => opened.close(),
    );
    context.provide(storageProvider, new ThinStorageProvider(pool), { name: config.name });
  },
});

export default plugin;
