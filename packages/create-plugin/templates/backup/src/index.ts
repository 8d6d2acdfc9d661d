import { all, definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import { AcmeBackup } from "./acme-backup.ts";
import { MemoryVault } from "./memory-vault.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the vault is. */
  address: z.string(),
  /** The host that disks are attached to while they are read or written. */
  host: z.string(),
});

const requires = { storage: all(storageProvider) };

const plugin: Plugin = definePlugin<z.infer<typeof config>, typeof requires>({
  name: "@acme/vdc-backup",
  version,
  core: "0.1",
  summary: "Recovery points in Acme repositories.",
  provides: [provides(backupRepository, { name: fromConfig("name") })],
  requires,
  config,
  setup(context, { name, address, host }) {
    const vault = MemoryVault.at(address);
    const storages = context.requires.storage;
    context.provide(backupRepository, new AcmeBackup({ vault, storages, host, clock: context.clock }), { name });
  },
});

export default plugin;
