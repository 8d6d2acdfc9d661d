// The plugin
export { type SqliteStateStoreConfig, sqliteStateStoreConfig } from "./config.ts";
export { default } from "./plugin.ts";

// The store, for use without a kernel
export { type OpenSqliteStateStoreOptions, SqliteStateStore } from "./sqlite-state-store.ts";
