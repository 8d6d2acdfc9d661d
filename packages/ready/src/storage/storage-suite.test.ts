import { createOperationContext, isVdcError, VdcError } from "@vdc-os/core";
import type { StorageProvider, Volume } from "@vdc-os/core/storage/v1";
import { describe } from "vitest";
import type { Mutant } from "../suite/proves-suite.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { type MemoryPool, openMemoryTransport } from "./memory-pool.ts";
import { MemoryStorageProvider } from "./memory-storage-provider.ts";
import type { BlockClient, StorageInstance } from "./storage-instance.ts";
import { storageSuite } from "./storage-suite.ts";

interface MemoryInstance extends StorageInstance {
  readonly implementation: MemoryStorageProvider;
}

function create(): MemoryInstance {
  const implementation = new MemoryStorageProvider();
  const { pool } = implementation;
  return {
    implementation,
    hosts: ["host-a", "host-b"],
    openTransport: (transport) => openMemoryTransport(pool, transport),
    reopen: async () => new MemoryStorageProvider(pool),
    imagePath: (name) => `/images/${name}`,
    hostileImages: [{ path: "/hostile", format: "raw" }],
  };
}

const context = createOperationContext();

/** A provider whose operations can be replaced one by one. */
function withChanges(store: MemoryStorageProvider, change: Partial<StorageProvider>): StorageProvider {
  return {
    describe: () => store.describe(),
    createVolume: (input, call) => store.createVolume(input, call),
    deleteVolume: (input) => store.deleteVolume(input),
    getVolume: (input) => store.getVolume(input),
    listVolumes: (input) => store.listVolumes(input),
    capacity: (input) => store.capacity(input),
    attachVolume: (input) => store.attachVolume(input),
    detachVolume: (input) => store.detachVolume(input),
    revokeAttachment: (input) => store.revokeAttachment(input),
    getAttachment: (input) => store.getAttachment(input),
    health: (input) => store.health(input),
    facets: store.facets,
    ...change,
  };
}

/** A mutant that answers some operations in another way. */
function mutant(
  breaks: string,
  how: string,
  change: (store: MemoryStorageProvider) => Partial<StorageProvider>,
): Mutant<StorageProvider, StorageInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const store = instance.implementation as MemoryStorageProvider;
      return {
        ...instance,
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
function facetMutant<Name extends keyof MemoryStorageProvider["facets"]>(
  breaks: string,
  how: string,
  name: Name,
  change: (
    facet: MemoryStorageProvider["facets"][Name],
    store: MemoryStorageProvider,
  ) => Partial<MemoryStorageProvider["facets"][Name]>,
): Mutant<StorageProvider, StorageInstance> {
  return mutant(breaks, how, (store) => ({
    facets: { ...store.facets, [name]: { ...store.facets[name], ...change(store.facets[name], store) } },
  }));
}

/** A mutant of the data path. */
function dataMutant(
  breaks: string,
  how: string,
  change: (client: BlockClient, pool: MemoryPool) => BlockClient,
): Mutant<StorageProvider, StorageInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const { pool } = instance.implementation as MemoryStorageProvider;
      return { ...instance, openTransport: async (transport) => change(await instance.openTransport(transport), pool) };
    },
  };
}

/** A mutant that loses something when it is killed. */
function restartMutant(
  breaks: string,
  how: string,
  lose: (pool: MemoryPool) => void,
): Mutant<StorageProvider, StorageInstance> {
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

async function forgiving<T>(call: Promise<T>, otherwise: () => T | Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return otherwise();
  }
}

/** Keeps writing for an owner that was cut off. */
function unfenced(client: BlockClient): BlockClient {
  return { ...client, write: (offset, data) => client.write(offset, data).catch(() => {}) };
}

const named = (store: MemoryStorageProvider, name: string): Volume =>
  store.view(store.findByName(name) ?? store.get("absent"));

const mutants: readonly Mutant<StorageProvider, StorageInstance>[] = [
  mutant("storage.create.volume", "forgets the owner", (store) => ({
    async createVolume({ owner: _, ...input }, call) {
      return store.createVolume(input, call);
    },
  })),
  dataMutant("storage.create.zeroes", "shows what the blocks held before", (client, pool) => ({
    ...client,
    async read(offset, length) {
      const data = await client.read(offset, length);
      return pool.nextId > 2 && offset > 1e6 ? data.fill(7) : data;
    },
  })),
  mutant("storage.create.idempotent", "refuses every name that is taken", (store) => ({
    async createVolume(input, call) {
      if (store.findByName(input.name)) throw new VdcError("ALREADY_EXISTS", "taken");
      return store.createVolume(input, call);
    },
  })),
  mutant("storage.create.conflict", "returns whatever has the name", (store) => ({
    createVolume: (input, call) => forgiving(store.createVolume(input, call), () => named(store, input.name)),
  })),
  mutant("storage.create.concurrent", "looks for the name, waits, and makes a volume", (store) => ({
    async createVolume(input, call) {
      const taken = store.findByName(input.name) !== undefined;
      await new Promise((resolve) => setImmediate(resolve));
      if (taken) return named(store, input.name);
      const made = await store.createVolume({ ...input, name: `${input.name}-${store.pool.nextId}` }, call);
      const volume = store.pool.volumes.get(made.volumeId);
      if (volume) volume.name = input.name;
      return { ...made, name: input.name };
    },
  })),
  mutant("storage.create.parameters", "ignores parameters", (store) => ({
    createVolume: ({ parameters: _, ...input }, call) => store.createVolume(input, call),
  })),
  mutant("storage.create.too-large", "makes the volume before it looks for room", (store) => ({
    async createVolume(input, call) {
      if (input.capacityBytes <= 2 ** 30) return store.createVolume(input, call);
      await store.createVolume({ ...input, capacityBytes: 4096 }, call);
      throw new VdcError("RESOURCE_EXHAUSTED", "too large");
    },
  })),
  mutant("storage.create.cancelled", "does not hear that it is cancelled", (store) => ({
    createVolume: (input) => store.createVolume(input, context),
  })),
  mutant("storage.delete.frees-name", "uses the ids of deleted volumes again", (store) => ({
    async deleteVolume(input) {
      await store.deleteVolume(input);
      store.pool.nextId--;
    },
  })),
  mutant("storage.delete.absent", "does not find what is absent", (store) => ({
    async deleteVolume(input) {
      store.get(input.volumeId);
      return store.deleteVolume(input);
    },
  })),
  mutant("storage.delete.attached", "detaches what it deletes", (store) => ({
    async deleteVolume(input) {
      const volume = store.pool.volumes.get(input.volumeId);
      if (volume) volume.attachment = undefined;
      return store.deleteVolume(input);
    },
  })),
  mutant("storage.get.absent", "takes an absent volume for detached", (store) => ({
    getAttachment: (input) => forgiving(store.getAttachment(input), () => ({})),
  })),
  mutant("storage.health.well", "does not know how a volume is", () => ({
    health: async () => ({ condition: "degraded", message: "not known" }),
  })),
  restartMutant("storage.durable.restart", "forgets the last delete", (pool) => {
    for (const volume of [...pool.volumes.values()]) {
      pool.volumes.set("back", { ...volume, volumeId: "back", name: "gone", attachment: undefined });
    }
  }),
  mutant("storage.list.paging", "orders names as people do", (store) => ({
    async listVolumes(input) {
      const page = await store.listVolumes(input);
      const items = [...page.items].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
      return { ...page, items };
    },
  })),
  mutant("storage.list.changes", "goes on by number", (store) => ({
    async listVolumes({ pageToken, limit = 1000, ...input }) {
      const at = Number(pageToken ?? 0);
      const { items } = await store.listVolumes(input);
      const page = { items: items.slice(at, at + limit) };
      return at + limit < items.length ? { ...page, nextPageToken: String(at + limit) } : page;
    },
    createVolume: (input, call) =>
      input.name === "a-0" ? Promise.resolve(named(store, "b")) : store.createVolume(input, call),
  })),
  mutant("storage.list.token", "begins again when it does not know a page token", (store) => ({
    listVolumes: (input) => forgiving(store.listVolumes(input), () => store.listVolumes({})),
  })),
  mutant("storage.list.filter", "lists every name that begins so", (store) => ({
    async listVolumes({ name, ...input }) {
      const { items } = await store.listVolumes(input);
      return { items: items.filter((volume) => name === undefined || volume.name.startsWith(name)) };
    },
  })),
  mutant("storage.capacity.provisioned", "does not give back what a deleted volume was promised", (store) => {
    let largest = 0;
    return {
      async capacity(input) {
        const pool = await store.capacity(input);
        largest = Math.max(largest, pool.provisionedBytes);
        return { ...pool, provisionedBytes: largest };
      },
    };
  }),
  mutant("storage.capacity.allocated", "never looks at the disk again", (store) => ({
    getVolume: async (input) => ({ ...(await store.getVolume(input)), allocatedBytes: 0, exclusiveBytes: 0 }),
  })),
  mutant("storage.capacity.pool", "answers for any pool", (store) => ({ capacity: () => store.capacity({}) })),
  dataMutant("storage.attach.data", "writes to the block after", (client) => ({
    ...client,
    write: (offset, data) => client.write(offset === 0 ? 4096 : offset, data),
  })),
  mutant("storage.attach.idempotent", "makes a new owner of a repeated call", (store) => ({
    async attachVolume(input) {
      const volume = store.get(input.volumeId);
      if (volume.attachment?.generation === input.generation) {
        volume.attachment = undefined;
        return store.attachVolume({ ...input, generation: input.generation + 1 });
      }
      return store.attachVolume(input);
    },
  })),
  mutant("storage.attach.otherwise", "moves the present generation", (store) => ({
    async attachVolume(input) {
      const { attachment } = store.get(input.volumeId);
      if (attachment?.generation !== input.generation) return store.attachVolume(input);
      store.get(input.volumeId).attachment = { ...attachment, host: input.host };
      return { ...attachment, host: input.host };
    },
  })),
  mutant("storage.attach.older", "forgets the generation with the attachment", (store) => ({
    async detachVolume(input) {
      await store.detachVolume(input);
      const volume = store.pool.volumes.get(input.volumeId);
      if (volume) volume.highWater = 0;
    },
  })),
  dataMutant("storage.attach.takeover", "lets the old owner write on", (client) => unfenced(client)),
  dataMutant("storage.attach.read-only", "lets a read-only owner write", (client) => unfenced(client)),
  dataMutant("storage.detach.ends", "leaves the path open", (client) => unfenced(client)),
  mutant("storage.detach.absent", "ends whatever is attached", (store) => ({
    async detachVolume({ volumeId }) {
      const volume = store.pool.volumes.get(volumeId);
      if (volume) volume.attachment = undefined;
    },
  })),
  mutant("storage.revoke.cuts", "only writes the mark down", (store) => ({
    async revokeAttachment({ volumeId, generation }) {
      store.get(volumeId).highWater = generation;
    },
  })),
  mutant("storage.revoke.refuses", "lowers its mark", (store) => ({
    async revokeAttachment(input) {
      await store.revokeAttachment(input);
      store.get(input.volumeId).highWater = input.generation;
    },
  })),
  mutant("storage.revoke.newer", "cuts off whoever is there", (store) => ({
    async revokeAttachment(input) {
      await store.revokeAttachment(input);
      store.get(input.volumeId).attachment = undefined;
    },
  })),
  restartMutant("storage.revoke.restart", "keeps its marks in memory", (pool) => {
    for (const volume of pool.volumes.values()) volume.highWater = 0;
  }),
  restartMutant("storage.attach.restart", "keeps its attachments in memory", (pool) => {
    for (const volume of pool.volumes.values()) volume.attachment = undefined;
  }),
  facetMutant("storage.resize.grow", "loses the last block", "resize", (resize, store) => ({
    resizeVolume(input, call) {
      store.get(input.volumeId).blocks.delete(1023);
      return resize.resizeVolume(input, call);
    },
  })),
  facetMutant("storage.resize.shrink", "shrinks without being told to", "resize", (_, store) => ({
    async resizeVolume({ volumeId, capacityBytes }) {
      store.get(volumeId).capacityBytes = capacityBytes;
      return store.view(store.get(volumeId));
    },
  })),
  facetMutant(
    "storage.import-export.round-trip",
    "leaves out what is in the middle",
    "importExport",
    (facet, store) => ({
      async exportVolume(input, call) {
        await facet.exportVolume(input, call);
        store.pool.files.get(input.destination.path)?.blocks.delete(700);
      },
    }),
  ),
  facetMutant("storage.import-export.new-file", "overwrites a file", "importExport", (facet, store) => ({
    exportVolume(input, call) {
      store.pool.files.delete(input.destination.path);
      return facet.exportVolume(input, call);
    },
  })),
  facetMutant(
    "storage.import-export.hostile",
    "makes an empty volume of what it can't read",
    "importExport",
    (facet, store) => ({
      importVolume: (input, call) =>
        forgiving(facet.importVolume(input, call), () =>
          store.createVolume({ name: input.name, capacityBytes: 4096 }, context),
        ),
    }),
  ),
  facetMutant("storage.layering.reads", "gives an overlay no content", "layering", (facet, store) => ({
    async createOverlay(input, call) {
      const made = await facet.createOverlay(input, call);
      store.get(made.volumeId).blocks.set(20, new Uint8Array(4096));
      return made;
    },
  })),
  facetMutant("storage.layering.depth", "reads through one parent only", "layering", (facet, store) => ({
    async createOverlay(input, call) {
      const made = await facet.createOverlay(input, call);
      if (input.name === "layer-4") store.get(made.volumeId).blocks.set(0, new Uint8Array(4096));
      return made;
    },
  })),
  facetMutant("storage.layering.size", "makes every overlay as large as its parent", "layering", (facet) => ({
    createOverlay: ({ capacityBytes: _, ...input }, call) => facet.createOverlay(input, call),
  })),
  facetMutant("storage.layering.idempotent", "returns whatever has the name", "layering", (facet, store) => ({
    createOverlay: (input, call) => forgiving(facet.createOverlay(input, call), () => named(store, input.name)),
  })),
  facetMutant(
    "storage.layering.parent-read-only",
    "layers over a volume that is written",
    "layering",
    (facet, store) => ({
      async createOverlay(input, call) {
        if (input.parent.kind === "volume") store.get(input.parent.volumeId).attachment = undefined;
        return facet.createOverlay(input, call);
      },
    }),
  ),
  mutant("storage.layering.delete-parent", "names no blockers", (store) => ({
    async deleteVolume(input) {
      try {
        await store.deleteVolume(input);
      } catch (error) {
        throw new VdcError("FAILED_PRECONDITION", String(error));
      }
    },
  })),
  facetMutant("storage.layering.copy-up", "forgets the parent and copies nothing", "layering", (_, store) => ({
    async copyUp({ volumeId }) {
      store.get(volumeId).parentVolumeId = undefined;
      return store.view(store.get(volumeId));
    },
  })),
  facetMutant("storage.clones.content", "says linked whatever it made", "clones", (facet) => ({
    cloneVolume: async (input, call) => ({ ...(await facet.cloneVolume(input, call)), kind: "linked" }),
  })),
  facetMutant("storage.clones.idempotent", "returns whatever has the name", "clones", (facet, store) => ({
    cloneVolume: (input, call) =>
      forgiving(facet.cloneVolume(input, call), () => ({
        volume: named(store, input.name),
        kind: "linked",
        sharedBytes: 0,
        depth: 2,
      })),
  })),
  facetMutant("storage.clones.source", "makes an empty volume of an absent source", "clones", (facet, store) => ({
    cloneVolume: (input, call) =>
      forgiving(facet.cloneVolume(input, call), async () => ({
        volume: await store.createVolume({ name: input.name, capacityBytes: 4096 }, context),
        kind: "full",
        sharedBytes: 0,
        depth: 1,
      })),
  })),
  mutant("storage.clones.read-only", "lets a parent be written", (store) => ({
    async attachVolume(input) {
      if (input.access === "readOnly") return store.attachVolume(input);
      const attachment = await store.attachVolume({ ...input, access: "readOnly" });
      store.get(input.volumeId).attachment = { ...attachment, access: "readWrite" };
      return { ...attachment, access: "readWrite" };
    },
  })),
  restartMutant("storage.clones.durable", "forgets who reads from whom", (pool) => {
    for (const volume of pool.volumes.values()) volume.parentVolumeId = undefined;
  }),
  facetMutant("storage.lineage.tree", "tells children before parents", "lineage", (facet) => ({
    lineageTree: async (input, call) => [...(await facet.lineageTree(input, call))].reverse(),
  })),
  mutant("storage.lineage.tombstone", "keeps the name of a tombstone", (store) => ({
    async deleteVolume(input) {
      const volume = store.pool.volumes.get(input.volumeId);
      await store.deleteVolume(input);
      if (volume?.tombstoned) volume.tombstoned = false;
    },
  })),
  facetMutant("storage.lineage.flatten", "forgets the parent and copies nothing", "lineage", (_, store) => ({
    async flatten({ volumeId }) {
      store.get(volumeId).parentVolumeId = undefined;
      return store.view(store.get(volumeId));
    },
  })),
  facetMutant("storage.lineage.promote", "does nothing", "lineage", (_, store) => ({
    promote: async ({ volumeId }) => store.view(store.get(volumeId)),
  })),
];

describe("the storage suite", () => {
  describeProof(storageSuite, { create, mutants });
  describe("the reference", () => describeSuite(storageSuite, { create }));
});
