import { storageProvider } from "@vdc-os/core/storage/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { StorageInstance } from "@vdc-os/ready/storage";
import { MemoryArray } from "./memory-array.ts";

const mib = 2 ** 20;

/** What the storage suite is run on: the plugin, with an array of its own for each requirement. */
export async function create(kit: CertificationKit): Promise<StorageInstance> {
  return createOn(kit, 1024 * mib);
}

async function createOn(kit: CertificationKit, totalBytes: number): Promise<StorageInstance> {
  const address = kit.folder();
  const array = MemoryArray.at(address);
  array.totalBytes = totalBytes;
  const config = { name: "certified", address };
  const first = await kit.start(storageProvider, { config });
  return {
    implementation: first.implementation,
    hosts: ["host-a", "host-b"],
    openTransport: (transport) => array.connect(transport),
    reopen: async () => {
      await first.stop();
      return (await kit.start(storageProvider, { config })).implementation;
    },
    // The array has no process that serves a volume: there is nothing to kill.
    killStorageProcess: async () => {},
    small: () => createOn(kit, 20 * mib),
  };
}
