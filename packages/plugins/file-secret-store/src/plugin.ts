import { existsSync } from "node:fs";
import { definePlugin, type Plugin, provides } from "@vdc-os/core";
import { secretStore } from "@vdc-os/core/secret/v1";
import { type FileSecretStoreConfig, fileSecretStoreConfig } from "./config.ts";
import { FileSecretStore } from "./file-secret-store.ts";
import { readSecretKey } from "./secret-key.ts";

const plugin: Plugin = definePlugin<FileSecretStoreConfig>({
  name: "@vdc-os/plugin-file-secret-store",
  version: "0.1.0",
  core: "0.1",
  summary: "Keeps secrets in one encrypted file.",
  provides: [provides(secretStore)],
  config: fileSecretStoreConfig,
  async setup(context, config) {
    const store = await context.acquire(
      "secret file",
      async () => {
        const key = readSecretKey({
          keyFile: config.keyFile,
          // A new key could not open secrets that are there.
          createKeyFile: config.createKeyFile === true && !existsSync(config.path),
          passphraseFile: config.passphraseFile,
        });
        return FileSecretStore.open({ path: config.path, key, keepVersions: config.keepVersions });
      },
      (opened) => opened.close(),
    );
    context.provide(secretStore, store);
  },
});

export default plugin;
