import { createOperationContext, type OperationContext } from "@vdc-os/core";
import type { StorageProvider, Volume } from "@vdc-os/core/storage/v1";
import { createMemoryPool, type MemoryPool } from "../../src/storage/memory-pool.ts";
import { MemoryStorageProvider } from "../../src/storage/memory-storage-provider.ts";
import { openMemoryTransport } from "../../src/storage/memory-transport.ts";
import type { BlockClient, StorageInstance } from "../../src/storage/storage-instance.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";
import { type BuildForgetful, type BuildMutant, forgetfulOf, mutantsOf } from "../build-mutant.ts";

/** An instance of the reference. */
export interface MemoryInstance extends StorageInstance {
  readonly implementation: MemoryStorageProvider;
}

/** A mutant of the storage suite. */
export type StorageMutant = Mutant<StorageProvider, StorageInstance>;

/** The size of a pool that is to run full. */
const smallBytes = 20 * 2 ** 20;

/** A fresh reference. */
export function createReference(totalBytes?: number): MemoryInstance {
  const implementation = new MemoryStorageProvider(createMemoryPool(totalBytes));
  const { pool } = implementation;
  return {
    implementation,
    hosts: ["host-a", "host-b"],
    openTransport: (transport) => openMemoryTransport(pool, transport),
    reopen: async () => new MemoryStorageProvider(pool),
    imagePath: (name) => `/images/${name}`,
    hostileImages: [{ path: "/hostile", format: "raw" }],
    // The reference has no process besides: what it keeps is there at once.
    killStorageProcess: async () => {},
    small: () => createReference(smallBytes),
    nowMs: () => pool.nowMs,
    keyRefs: ["key-1", "key-2"],
  };
}

/** A context for calls of a mutant's own. */
export const context: OperationContext = createOperationContext();

/** A mutant that answers some operations in another way, also after it is opened again. */
export function mutant(
  breaks: string,
  how: string,
  change: (store: MemoryStorageProvider) => Partial<StorageProvider>,
): StorageMutant {
  return alsoSmall(buildMutant(breaks, how, change));
}

const buildMutant: BuildMutant<StorageProvider, StorageInstance, MemoryStorageProvider> = mutantsOf();

/** The mutant, whose small pool is broken as well. */
function alsoSmall({ breaks, how, mutate }: StorageMutant): StorageMutant {
  const broken = async (instance: StorageInstance): Promise<StorageInstance> => ({
    ...(await mutate(instance)),
    small: () => broken(createReference(smallBytes)),
  });
  return { breaks, how, mutate: broken };
}

/** A mutant of a facet. */
export function facetMutant<Name extends keyof MemoryStorageProvider["facets"]>(
  breaks: string,
  how: string,
  name: Name,
  change: (
    facet: MemoryStorageProvider["facets"][Name],
    store: MemoryStorageProvider,
  ) => Partial<MemoryStorageProvider["facets"][Name]>,
): StorageMutant {
  return mutant(breaks, how, (store) => ({
    facets: { ...store.facets, [name]: { ...store.facets[name], ...change(store.facets[name], store) } },
  }));
}

/** A mutant of the data path. */
export function dataMutant(
  breaks: string,
  how: string,
  change: (client: BlockClient, pool: MemoryPool) => BlockClient,
): StorageMutant {
  return alsoSmall({
    breaks,
    how,
    mutate(instance) {
      const { pool } = instance.implementation as MemoryStorageProvider;
      return {
        ...instance,
        openTransport: async (transport) => change(await instance.openTransport(transport), pool),
      };
    },
  });
}

/** A mutant that loses something when it is killed. */
export const restartMutant: BuildForgetful<StorageProvider, StorageInstance, MemoryStorageProvider> = forgetfulOf();

/** Keeps writing for an owner that was cut off. */
export function unfenced(client: BlockClient): BlockClient {
  return { ...client, write: (offset, data) => client.write(offset, data).catch(() => {}) };
}

/** The volume of a name. */
export const named = (store: MemoryStorageProvider, name: string): Volume =>
  store.view(store.findByName(name) ?? store.get("absent"));
