import { type ApiClient, createApiClient } from "@vdc-os/api-client";
import { definePlugin, fromConfig, objectName, one, type OperationContext, type Plugin, provides } from "@vdc-os/core";
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

/** Another VDC-OS datacenter as a cloud. The token is taken from the secret store for each call, and is not kept. */
const plugin: Plugin = definePlugin({
  name: "@vdc-os/plugin-external-cloud",
  version: "0.1.0",
  core: "0.1",
  summary: "Another VDC-OS datacenter as a cloud, through its HTTP API.",
  provides: [provides(cloudConnector, { name: fromConfig("name") })],
  requires: { secrets: one(secretStore) },
  config,
  setup(context, { name, baseUrl, token }) {
    checkAddress(baseUrl);
    const clientOf = async (operation: OperationContext): Promise<ApiClient> => {
      const { value } = await context.requires.secrets.resolve(token, operation);
      return createApiClient({ baseUrl, token: value });
    };
    context.provide(cloudConnector, new ExternalCloudConnector(clientOf), { name });
  },
});

export default plugin;
