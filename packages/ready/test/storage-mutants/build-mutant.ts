import { createOperationContext, isVdcError, type OperationContext } from "@vdc-os/core";
import type { StorageProvider, Volume } from "@vdc-os/core/storage/v1";
import { createMemoryPool, type MemoryPool } from "../../src/storage/memory-pool.ts";
import { MemoryStorageProvider } from "../../src/storage/memory-storage-provider.ts";
import { openMemoryTransport } from "../../src/storage/memory-transport.ts";
import type { BlockClient, StorageInstance } from "../../src/storage/storage-instance.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";

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

/** A provider whose operations can be replaced one by one. */
export function withChanges(store: MemoryStorageProvider, change: Partial<StorageProvider>): StorageProvider {
  return {
    describe: () => store.describe(),
    createVolume: (input, call) => store.createVolume(input, call),
    deleteVolume: (input, call) => store.deleteVolume(input, call),
    getVolume: (input) => store.getVolume(input),
    listVolumes: (input) => store.listVolumes(input),
    capacity: (input) => store.capacity(input),
    attachVolume: (input, call) => store.attachVolume(input, call),
    detachVolume: (input, call) => store.detachVolume(input, call),
    revokeAttachment: (input, call) => store.revokeAttachment(input, call),
    getAttachment: (input) => store.getAttachment(input),
    health: (input) => store.health(input),
    facets: store.facets,
    ...change,
  };
}

/** A mutant that answers some operations in another way. */
export function mutant(
  breaks: string,
  how: string,
  change: (store: MemoryStorageProvider) => Partial<StorageProvider>,
): StorageMutant {
  return {
    breaks,
    how,
    mutate(instance) {
      const store = instance.implementation as MemoryStorageProvider;
      return {
        ...instance,
        small: async () => this.mutate(createReference(smallBytes)),
        implementation: withChanges(store, change(store)),
        reopen: async () => {
          const again = (await instance.reopen()) as MemoryStorageProvider;
          return withChanges(again, change(again));
        },
      };
    },
  };
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
  return {
    breaks,
    how,
    mutate(instance) {
      const { pool } = instance.implementation as MemoryStorageProvider;
      return {
        ...instance,
        small: async () => this.mutate(createReference(smallBytes)),
        openTransport: async (transport) => change(await instance.openTransport(transport), pool),
      };
    },
  };
}

/** A mutant that loses something when it is killed. */
export function restartMutant(breaks: string, how: string, lose: (pool: MemoryPool) => void): StorageMutant {
  return {
    breaks,
    how,
    mutate: (instance) => ({
      ...instance,
      reopen: async () => {
        lose((instance.implementation as MemoryStorageProvider).pool);
        return instance.reopen();
      },
    }),
  };
}

/** What a call returns, or something else when it fails. */
export async function forgiving<T>(call: Promise<T>, otherwise: () => T | Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return otherwise();
  }
}

/** Keeps writing for an owner that was cut off. */
export function unfenced(client: BlockClient): BlockClient {
  return { ...client, write: (offset, data) => client.write(offset, data).catch(() => {}) };
}

/** The volume of a name. */
export const named = (store: MemoryStorageProvider, name: string): Volume =>
  store.view(store.findByName(name) ?? store.get("absent"));
