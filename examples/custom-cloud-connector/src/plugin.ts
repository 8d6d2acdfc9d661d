import { definePlugin, fromConfig, one, type Plugin, provides } from "@vdc-os/core";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { z } from "zod";
import { PuddleClient } from "./puddle-client.ts";
import { PuddleConnector } from "./puddle-connector.ts";

const config = z.object({ name: z.string(), url: z.url(), secret: z.string() });

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-puddle",
  version: "1.0.0",
  core: "0.1",
  summary: "Machines in puddle clouds.",
  provides: [provides(cloudConnector, { name: fromConfig("name") })],
  requires: { secrets: one(secretStore) },
  config,
  setup(context, { name, url, secret }) {
    // The token is asked for at each call, and kept nowhere: one that was rotated counts at once.
    const connector = new PuddleConnector(async (operation) => {
      const { value } = await context.requires.secrets.resolve({ name: secret }, operation);
      return new PuddleClient(url, value);
    });
    context.provide(cloudConnector, connector, { name });
  },
});

export default plugin;
