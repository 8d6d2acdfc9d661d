import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import { FolderStorage } from "./folder-storage.ts";

const config = z.object({ name: z.string(), directory: z.string(), capacityBytes: z.int().positive() });

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-folder-storage",
  version: "1.0.0",
  core: "0.1",
  summary: "Volumes as raw files in a folder.",
  provides: [provides(storageProvider, { name: fromConfig("name") })],
  config,
  setup(context, options) {
    context.provide(storageProvider, new FolderStorage(options), { name: options.name });
  },
});

export default plugin;
