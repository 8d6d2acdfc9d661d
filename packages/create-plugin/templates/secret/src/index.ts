import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { secretStore } from "@vdc-os/core/secret/v1";
import { z } from "zod";
import { AcmeVault } from "./acme-vault.ts";
import { MemoryVault } from "./memory-vault.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the vault is. */
  address: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-secret",
  version,
  core: "0.1",
  summary: "Secrets in Acme vaults.",
  provides: [provides(secretStore, { name: fromConfig("name") })],
  config,
  setup(context, { name, address }) {
    context.provide(secretStore, new AcmeVault(MemoryVault.at(address)), { name });
  },
});

export default plugin;
