import { definePlugin, provides, systemClock } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { type PluginRegistration, use } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { BackupInstance, BackupStorage } from "@vdc-os/ready/backup";
import { createMemoryPool, MemoryStorageProvider, openMemoryTransport } from "@vdc-os/ready/storage";
import { MemoryVault } from "./memory-vault.ts";

/** What the backup suite is run on: the plugin, with a vault and three kinds of storage of its own for each requirement. */
export async function create(kit: CertificationKit): Promise<BackupInstance> {
  const config = { name: "certified", address: kit.folder(), host: "host-b" };
  const [storage, other, plain] = [storageOf("pool"), storageOf("other"), withoutFacets(storageOf("plain"))];
  const storages = new Map([storage, other, plain].map((one) => [one.name, one]));
  const vault = MemoryVault.at(config.address);
  vault.openDisk = async (transport, name) => (storages.get(name) ?? storage).openTransport(transport);
  let now: number | undefined;
  const clock = { ...systemClock, now: () => now ?? systemClock.now() };
  const start = async () =>
    (await kit.start(backupRepository, { config, clock, plugins: [provider([...storages.values()])] })).implementation;
  return {
    implementation: await start(),
    storage,
    other,
    plain,
    // The one that ran before has lost the vault, in the middle of whatever it did: that is what `kill -9` would leave.
    reopen: start,
    async damage() {
      for (const [hash, chunk] of vault.chunks) {
        const damaged = chunk.map((byte) => byte ^ 1);
        vault.chunks.set(hash, damaged);
      }
    },
    setNow(wanted) {
      now = wanted;
    },
  };
}

/** Storage in memory, with every facet. */
function storageOf(name: string): BackupStorage {
  const pool = createMemoryPool();
  const provider = new MemoryStorageProvider(pool);
  return { name, provider, host: "host-a", openTransport: (transport) => openMemoryTransport(pool, transport) };
}

/** Storage that has nothing but what all storage has. */
function withoutFacets(storage: BackupStorage): BackupStorage {
  const { provider } = storage;
  const describe = provider.describe.bind(provider);
  Object.assign(provider, {
    facets: {},
    describe: async (...call: Parameters<typeof describe>) => ({ ...(await describe(...call)), facets: {} }),
  });
  return storage;
}

/** A plugin that provides storage, for what is certified to require. */
function provider(storages: readonly BackupStorage[]): PluginRegistration {
  const plugin = definePlugin({
    name: "storages",
    version: "1.0.0",
    core: "0.1",
    summary: "The storage that is backed up.",
    provides: storages.map(({ name }) => provides(storageProvider, { name })),
    setup(context) {
      for (const { name, provider } of storages) context.provide(storageProvider, provider, { name });
    },
  });
  return use(plugin);
}
