import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import type { CertificationKit } from "@vdc-os/ready";
import type { StorageInstance } from "@vdc-os/ready/storage";
import { readdirSync, writeFileSync } from "node:fs";
import { startKillable } from "./killable-plugin.ts";
import { openNbd } from "./nbd-block-client.ts";
import { startTwoHosts, type TwoHosts } from "./two-hosts.ts";

const mib = 1024 * 1024;

/** What the storage suite is run on: clones over a thin pool of two hosts, with a database for what is known of them. */
export async function create(kit: CertificationKit): Promise<StorageInstance> {
  return open(kit, await startTwoHosts(kit));
}

async function open(kit: CertificationKit, hosts: TwoHosts, more: object = {}): Promise<StorageInstance> {
  const folder = kit.folder();
  const below = (pool: string) => [
    hosts.registration,
    use(sqliteStateStore, { config: { directory: join(folder, `${pool}-state`) } }),
    use(thinProvisioning, { config: { name: "thin", directory: join(folder, pool), ...more } }),
  ];
  const config = { name: "clones", base: "thin" };
  const plugins = below("pool");
  const start = () => kit.start(storageProvider, { config, plugins });
  let running = await start();
  const text = join(folder, "text.qcow2");
  writeFileSync(text, "json:{}");
  return {
    implementation: running.implementation,
    hosts: hosts.names,
    openTransport: openNbd,
    async reopen() {
      await running.stop();
      running = await start();
      return running.implementation;
    },
    // What is underneath goes on.
    async killable() {
      const killed = { config, plugins: below("killed") };
      const { implementation, kill } = await startKillable(kit, storageProvider, { name: config.name, ...killed });
      return {
        implementation,
        async kill() {
          await kill();
          return (await kit.start(storageProvider, killed)).implementation;
        },
        leftovers: () => ["volumes", "trash"].flatMap((name) => readdirSync(join(folder, "killed", name))),
      };
    },
    imagePath: (name) => join(folder, name),
    hostileImages: [{ path: text, format: "qcow2" }],
    killStorageProcess: ({ host }) => hosts.kill(host, (id) => id.startsWith("storage-")),
    small: async () => open(kit, await startTwoHosts(kit), { capacityBytes: 16 * mib, maxOverSubscription: 10 }),
  };
}
