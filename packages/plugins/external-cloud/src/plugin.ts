import { createApiClient } from "@vdc-os/api-client";
import { definePlugin, fromConfig, objectName, one, type Plugin, provides } from "@vdc-os/core";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { type SecretRef, secretRef, secretStore } from "@vdc-os/core/secret/v1";
import { z } from "zod";
import { checkAddress, ExternalCloudConnector } from "./external-cloud-connector.ts";

/** The plugin's config. */
export interface ExternalCloudConfig {
  /** The connector's name. */
  readonly name: string;
  /** The other datacenter's API: https, or http on this machine. */
  readonly baseUrl: string;
  /** Where its token is kept. */
  readonly token: SecretRef;
}

const config: z.ZodType<ExternalCloudConfig> = z.object({ name: objectName, baseUrl: z.url(), token: secretRef });

/** Another VDC-OS datacenter as a cloud. The token is taken from the secret store, and is not kept elsewhere. */
const plugin: Plugin = definePlugin({
  name: "@vdc-os/plugin-external-cloud",
  version: "0.1.0",
  core: "0.1",
  summary: "Another VDC-OS datacenter as a cloud, through its HTTP API.",
  provides: [provides(cloudConnector, { name: fromConfig("name") })],
  requires: { secrets: one(secretStore) },
  config,
  async setup(context, { name, baseUrl, token }) {
    checkAddress(baseUrl);
    const { value } = await context.requires.secrets.resolve(token, { signal: context.signal });
    const client = createApiClient({ baseUrl, token: value });
    context.provide(cloudConnector, new ExternalCloudConnector(client), { name });
  },
});

export default plugin;
