import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { createImageSync } from "@vdc-os/qcow2";
import type { CertificationKit } from "@vdc-os/ready";
import type { StorageInstance } from "@vdc-os/ready/storage";
import { startKillable } from "./killable-plugin.ts";
import { memorySecrets } from "./memory-secrets.ts";
import { openNbd } from "./nbd-block-client.ts";
import { startTwoHosts, type TwoHosts } from "./two-hosts.ts";

const mib = 1024 * 1024;

/** What the storage suite is run on: an encrypted pool in a folder, served by storage processes of two hosts, with keys from a secret store. */
export async function create(kit: CertificationKit): Promise<StorageInstance> {
  return open(kit, await startTwoHosts(kit));
}

async function open(kit: CertificationKit, hosts: TwoHosts, more: object = {}): Promise<StorageInstance> {
  const folder = kit.folder();
  const plugins = [
    hosts.registration,
    await memorySecrets({
      "key-1": "the-first-key-of-a-certified-pool-4bd1",
      "key-2": "the-second-key-of-a-certified-pool-91ce",
    }),
  ];
  const config = { name: "fast", directory: join(folder, "pool"), keyRef: "key-1", ...more };
  const start = () => kit.start(storageProvider, { config, plugins });
  let running = await start();
  return {
    implementation: running.implementation,
    hosts: hosts.names,
    openTransport: openNbd,
    async reopen() {
      await running.stop();
      running = await start();
      return running.implementation;
    },
    async killable() {
      const directory = join(folder, "killed");
      const killed = { config: { ...config, directory }, plugins };
      const { implementation, kill } = await startKillable(kit, storageProvider, { name: config.name, ...killed });
      return {
        implementation,
        async kill() {
          await kill();
          return (await kit.start(storageProvider, killed)).implementation;
        },
        leftovers: () => ["volumes", "trash"].flatMap((name) => readdirSync(join(directory, name))),
      };
    },
    imagePath: (name) => join(folder, name),
    hostileImages: hostileImages(folder),
    keyRefs: ["key-1", "key-2"],
    killStorageProcess: ({ host }) => hosts.kill(host, (id) => id.startsWith("storage-")),
    small: async () => open(kit, await startTwoHosts(kit), { capacityBytes: 16 * mib, maxOverSubscription: 10 }),
  };
}

/** An image with a backing file, and a text. */
function hostileImages(folder: string): NonNullable<StorageInstance["hostileImages"]> {
  const virtualSizeBytes = mib;
  createImageSync({ path: join(folder, "lower.qcow2"), virtualSizeBytes, durable: false });
  const backing = { path: "lower.qcow2", format: "qcow2" } as const;
  createImageSync({ path: join(folder, "backed.qcow2"), virtualSizeBytes, backing, durable: false });
  writeFileSync(join(folder, "text.qcow2"), "json:{}");
  return ["backed.qcow2", "text.qcow2"].map((name) => ({ path: join(folder, name), format: "qcow2" }));
}
