import { backupRepository } from "@vdc-os/core/backup/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { BackupInstance, BackupStorage } from "@vdc-os/ready/backup";
import { createMemoryPool, MemoryStorageProvider, openMemoryTransport } from "@vdc-os/ready/storage";
import { AcmeBackup } from "./acme-backup.ts";

/** What the backup suite is run on: the plugin, with a repository and three kinds of storage of its own for each requirement. */
export async function create(kit: CertificationKit): Promise<BackupInstance> {
  const config = { name: "certified", address: kit.folder() };
  const place = AcmeBackup.placeOf(config.address);
  const [storage, other, plain] = [storageOf("pool"), storageOf("other"), storageOf("plain", { facets: {} })];
  place.storages = [storage, other, plain];
  const first = await kit.start(backupRepository, { config });
  return {
    implementation: first.implementation,
    storage,
    other,
    plain,
    async reopen() {
      // As `kill -9` would: from now on it does nothing more.
      if (place.running !== undefined) place.running.isKilled = true;
      return (await kit.start(backupRepository, { config })).implementation;
    },
    async damage() {
      for (const [hash, chunk] of place.vault.chunks) {
        const wrong = chunk.map((byte) => byte ^ 1);
        place.vault.chunks.set(hash, wrong);
      }
    },
    setNow(now) {
      place.now = () => now;
    },
  };
}

/** Storage in memory, with snapshots or without. */
function storageOf(name: string, change: { readonly facets?: object } = {}): BackupStorage {
  const pool = createMemoryPool();
  const provider = Object.assign(new MemoryStorageProvider(pool), change);
  return { name, provider, host: "host-a", openTransport: (transport) => openMemoryTransport(pool, transport) };
}
