import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { z } from "zod";
import { AcmeBackup } from "./acme-backup.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the system behind it is. */
  address: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-backup",
  version,
  core: "0.1",
  summary: "Recovery points in Acme repositories.",
  provides: [provides(backupRepository, { name: fromConfig("name") })],
  config,
  setup(context, { name, address }) {
    context.provide(backupRepository, new AcmeBackup(address), { name });
  },
});

export default plugin;
