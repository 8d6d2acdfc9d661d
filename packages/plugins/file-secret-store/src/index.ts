// The plugin
export { type FileSecretStoreConfig, fileSecretStoreConfig } from "./config.ts";
export { default } from "./plugin.ts";

// The store, for use without a kernel
export { FileSecretStore, type OpenFileSecretStoreOptions } from "./file-secret-store.ts";
export { readSecretKey, type ReadSecretKeyOptions, type SecretKey } from "./secret-key.ts";
