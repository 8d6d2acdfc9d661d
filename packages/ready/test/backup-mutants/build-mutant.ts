import type { BackupRepository } from "@vdc-os/core/backup/v1";
import type { BackupInstance, BackupStorage } from "../../src/backup/backup-instance.ts";
import { MemoryBackupRepository } from "../../src/backup/memory-backup-repository.ts";
import { createMemoryVault } from "../../src/backup/memory-vault.ts";
import { createMemoryPool } from "../../src/storage/memory-pool.ts";
import { MemoryStorageProvider } from "../../src/storage/memory-storage-provider.ts";
import { openMemoryTransport } from "../../src/storage/memory-transport.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";
import { type BuildForgetful, forgetfulOf } from "../build-mutant.ts";

/** A mutant of the backup suite. */
export type BackupMutant = Mutant<BackupRepository, BackupInstance>;

/** An instance of the reference. */
export interface MemoryBackupInstance extends BackupInstance {
  readonly implementation: MemoryBackupRepository;
}

function storageOf(name: string, change: Partial<Record<"facets", object>> = {}): BackupStorage {
  const pool = createMemoryPool();
  const provider = Object.assign(new MemoryStorageProvider(pool), change);
  return { name, provider, host: "host-a", openTransport: (transport) => openMemoryTransport(pool, transport) };
}

/** A fresh reference, with storage of its own. `spoil` changes each repository that is opened. */
export function createReference(spoil: (memory: MemoryBackupRepository) => void = () => {}): MemoryBackupInstance {
  const vault = createMemoryVault();
  const [storage, other, plain] = [storageOf("pool"), storageOf("other"), storageOf("plain", { facets: {} })];
  let now: number | undefined;
  const open = (): MemoryBackupRepository => {
    const memory = new MemoryBackupRepository(vault, [storage, other, plain], () => now ?? Date.now());
    spoil(memory);
    return memory;
  };
  let running = open();
  return {
    implementation: running,
    storage,
    other,
    plain,
    async reopen() {
      running.isKilled = true;
      running = open();
      return running;
    },
    async damage() {
      for (const [hash, chunk] of vault.chunks)
        vault.chunks.set(
          hash,
          chunk.map((byte) => byte ^ 1),
        );
    },
    setNow(wanted) {
      now = wanted;
    },
  };
}

/** A mutant whose repositories, those after a restart too, have something else in place of what the reference has. */
export function mutant(
  breaks: string,
  how: string,
  change: (memory: MemoryBackupRepository) => Partial<MemoryBackupRepository>,
): BackupMutant {
  const mutate = (): BackupInstance => createReference((memory) => void Object.assign(memory, change(right(memory))));
  return { breaks, how, mutate };
}

/** A mutant that loses something when it is killed. */
export const restartMutant: BuildForgetful<BackupRepository, BackupInstance, MemoryBackupRepository> = forgetfulOf();

/** A repository of the same vault as it is without the change: what a mutant falls back on. Its own methods are those of the changed one. */
function right(memory: MemoryBackupRepository): MemoryBackupRepository {
  return new Proxy(memory, {
    get(target, name) {
      // The class's method, on the changed repository: what it calls in turn is changed.
      const method: unknown = Reflect.get(MemoryBackupRepository.prototype, name);
      if (typeof method === "function") return method.bind(target);
      return Reflect.get(target, name);
    },
  });
}
