import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { storageProvider } from "@vdc-os/core/storage/v1";
import type { SimulatedWorldOptions } from "@vdc-os/plugin-simulator";
import type { CertificationKit } from "@vdc-os/ready";
import type { StorageInstance } from "@vdc-os/ready/storage";
import { makeWorld, showWorld } from "./plugin.ts";

/** What the storage suite is run on. */
export async function create(kit: CertificationKit, options: SimulatedWorldOptions = {}): Promise<StorageInstance> {
  const world = makeWorld(kit, options);
  const folder = kit.folder();
  const foreign = join(folder, "foreign.qcow2");
  writeFileSync(foreign, "QFI\u00fb");
  return {
    implementation: (await kit.start(storageProvider)).implementation,
    hosts: ["host-1", "host-2"],
    openTransport: async (transport) => world.openTransport(transport),
    async reopen() {
      showWorld(world);
      return (await kit.start(storageProvider)).implementation;
    },
    imagePath: (name) => join(folder, name),
    hostileImages: [{ path: foreign, format: "qcow2" }],
    // The simulated data path has no process of its own: what was written is there at once.
    killStorageProcess: async () => undefined,
    small: () => create(kit, { pool: { totalBytes: 32 << 20, maxOverSubscription: 8 } }),
  };
}
