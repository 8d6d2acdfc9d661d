// The plugin
export { default } from "./plugin.ts";
export type { ExternalCloudConfig } from "./plugin.ts";

// For tests and for other plugins
export { type ClientOf, ExternalCloudConnector } from "./external-cloud-connector.ts";
