import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { z } from "zod";
import { AcmeCloud } from "./acme-cloud.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider. */
  name: z.string(),
  /** Where the system behind it is. */
  address: z.string(),
  /** Who asks. */
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
    context.provide(cloudConnector, new AcmeCloud(address, token === "known"), { name });
  },
});

export default plugin;
