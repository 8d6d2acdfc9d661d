// The plugin
export { type ThinProvisioningConfig, thinProvisioningConfig } from "./config.ts";
export { default } from "./plugin.ts";

// The pool, for use without a kernel
export { type OpenThinPoolOptions, ThinPool } from "./thin-pool.ts";
export { ThinStorageProvider } from "./thin-storage-provider.ts";
