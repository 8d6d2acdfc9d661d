import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { z } from "zod";
import { AcmeCloud } from "./acme-cloud.ts";
import { MemoryAccount } from "./memory-account.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the cloud is. */
  address: z.string(),
  /** Who asks. A real one is a secret: let the config have its name in the secret store, as the guide does. */
  token: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-cloud",
  version,
  core: "0.1",
  summary: "Instances in Acme clouds.",
  provides: [provides(cloudConnector, { name: fromConfig("name") })],
  config,
  setup(context, { name, address, token }) {
    context.provide(cloudConnector, new AcmeCloud(MemoryAccount.at(address), token), { name });
  },
});

export default plugin;
