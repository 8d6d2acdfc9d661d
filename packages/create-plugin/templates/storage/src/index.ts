import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import { AcmeStorage } from "./acme-storage.ts";
import { MemoryArray } from "./memory-array.ts";
import { version } from "./version.ts";

const config = z.object({
  /** The name of the provider, which is that of its pool. */
  name: z.string(),
  /** Where the array is. */
  address: z.string(),
});

const plugin: Plugin = definePlugin({
  name: "@acme/vdc-storage",
  version,
  core: "0.1",
  summary: "Volumes on Acme arrays.",
  provides: [provides(storageProvider, { name: fromConfig("name") })],
  config,
  setup(context, { name, address }) {
    context.provide(storageProvider, new AcmeStorage(name, MemoryArray.at(address)), { name });
  },
});

export default plugin;
