import { join } from "node:path";
import { fromConfig, type Plugin, provides } from "@vdc-os/core";
import { external } from "@vdc-os/core/remote";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { z } from "zod";

const plugin: Plugin = external({
  name: "@acme/vdc-python-storage",
  version: "1.0.0",
  core: "0.1",
  summary: "Volumes as raw files in a folder, in Python.",
  provides: [provides(storageProvider, { name: fromConfig("name") })],
  config: z.object({ name: z.string(), directory: z.string(), capacityBytes: z.int().positive() }),
  // -B: no compiled copy is left beside it.
  command: ["python3", "-B", join(import.meta.dirname, "folder_storage.py")],
  restart: { firstBackOffMs: 50 },
});

export default plugin;
