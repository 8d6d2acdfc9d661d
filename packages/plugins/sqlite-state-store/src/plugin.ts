import { definePlugin, type Plugin, provides } from "@vdc-os/core";
import { stateStore } from "@vdc-os/core/state/v1";
import { databasePath, type SqliteStateStoreConfig, sqliteStateStoreConfig } from "./config.ts";
import { SqliteStateStore } from "./sqlite-state-store.ts";

const plugin: Plugin = definePlugin<SqliteStateStoreConfig>({
  name: "@vdc-os/plugin-sqlite-state-store",
  version: "0.1.0",
  core: "0.1",
  summary: "Keeps a datacenter's state in a SQLite database.",
  provides: [provides(stateStore)],
  config: sqliteStateStoreConfig,
  async setup(context, config) {
    const store = await context.acquire(
      "state database",
      () =>
        SqliteStateStore.open({
          path: databasePath(config),
          keepRevisions: config.keepRevisions,
          clock: context.clock,
          random: context.random,
          logger: context.logger,
        }),
      (opened) => opened.close(),
    );
    context.provide(stateStore, store);
  },
});

export default plugin;
