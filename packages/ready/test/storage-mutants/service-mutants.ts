import { forgiving } from "../build-mutant.ts";
import { dataMutant, facetMutant, mutant, restartMutant, type StorageMutant } from "./build-mutant.ts";
import { MemoryStorageProvider } from "../../src/storage/memory-storage-provider.ts";

const none = { iops: 0, bytesPerSecond: 0 };

/** What breaks changed blocks, limits, discard, encryption, moves and resizes. */
export const serviceMutants: readonly StorageMutant[] = [
  facetMutant("storage.changed-blocks.superset", "forgets blocks that became zeroes", "changedBlocks", (facet) => ({
    async *changedExtents(input, call) {
      for await (const extent of facet.changedExtents(input, call)) if (!extent.zero) yield extent;
    },
  })),
  facetMutant(
    "storage.changed-blocks.superset",
    "tracks only since the last checkpoint",
    "changedBlocks",
    (facet, store) => ({
      async createCheckpoint(input, call) {
        for (const { dirty } of store.get(input.volumeId).checkpoints.values()) dirty.clear();
        return facet.createCheckpoint(input, call);
      },
    }),
  ),
  facetMutant("storage.changed-blocks.attached", "tracks from the next attach on", "changedBlocks", (facet, store) => ({
    async *changedExtents(input, call) {
      if (store.get(input.volumeId).attachment === undefined) yield* facet.changedExtents(input, call);
    },
  })),
  facetMutant(
    "storage.changed-blocks.starting-offset",
    "begins at the next granule but one",
    "changedBlocks",
    (facet) => ({
      changedExtents: ({ startingOffset = 0, ...input }, call) =>
        facet.changedExtents({ ...input, startingOffset: startingOffset === 0 ? 0 : startingOffset + 4096 }, call),
    }),
  ),
  facetMutant(
    "storage.changed-blocks.checkpoints",
    "begins again when it is repeated",
    "changedBlocks",
    (facet, store) => ({
      async createCheckpoint(input, call) {
        const { checkpoints } = store.get(input.volumeId);
        for (const { checkpoint, name } of [...checkpoints.values()])
          if (name === input.name) checkpoints.delete(checkpoint);
        return facet.createCheckpoint(input, call);
      },
    }),
  ),
  facetMutant("storage.changed-blocks.allocated", "takes everything for zeroes", "changedBlocks", (facet) => ({
    async *allocatedExtents(input, call) {
      for await (const extent of facet.allocatedExtents(input, call)) yield { ...extent, zero: true };
    },
  })),
  restartMutant(
    "storage.changed-blocks.restart",
    "keeps what has changed in memory, and calls it intact",
    ({ pool }) => {
      for (const { checkpoints } of pool.volumes.values()) for (const { dirty } of checkpoints.values()) dirty.clear();
    },
  ),
  {
    breaks: "storage.changed-blocks.killed",
    how: "notes what has changed when it detaches",
    mutate: (instance) => ({
      ...instance,
      killStorageProcess: async ({ volumeId }) => {
        if (!(instance.implementation instanceof MemoryStorageProvider)) return;
        for (const { dirty } of instance.implementation.get(volumeId).checkpoints.values()) dirty.clear();
      },
    }),
  },
  facetMutant("storage.qos.read-back", "tells what was asked, and rounds it", "qos", (facet) => ({
    getQos: async (input, call) => ({ ...(await facet.getQos(input, call)), iops: 1000 }),
  })),
  restartMutant("storage.qos.read-back", "keeps limits in memory", ({ pool }) => {
    for (const volume of pool.volumes.values()) volume.qos = none;
  }),
  dataMutant("storage.qos.rate", "does not hold anything back", (client, pool) => ({
    ...client,
    async write(offset, data) {
      const before = pool.nowMs;
      await client.write(offset, data);
      pool.nowMs = before;
    },
  })),
  facetMutant("storage.qos.live", "limits from the next attach on", "qos", (facet, store) => {
    const set = new Map<string, typeof none>();
    return {
      async setQos(input, call) {
        set.set(input.volumeId, input.policy);
        if (store.get(input.volumeId).attachment === undefined) await facet.setQos(input, call);
      },
      getQos: async ({ volumeId }) => set.get(volumeId) ?? none,
    };
  }),
  dataMutant("storage.discard.guest", "says yes and does nothing", (client) => ({
    ...client,
    discard: async () => {},
  })),
  facetMutant("storage.discard.reclaim", "gives back what holds data", "discard", (facet, store) => ({
    reclaim(input, call) {
      store.get(input.volumeId).blocks.delete(600);
      return facet.reclaim(input, call);
    },
  })),
  facetMutant("storage.encryption.rotate", "loses the content with the key", "encryption", (facet, store) => ({
    async rotateKey(input, call) {
      await facet.rotateKey(input, call);
      store.get(input.volumeId).blocks.delete(1023);
    },
  })),
  facetMutant("storage.encryption.rotate", "takes a key that it can't read", "encryption", (facet) => ({
    rotateKey: (input, call) => forgiving(facet.rotateKey(input, call), () => {}),
  })),
  facetMutant("storage.encryption.status", "has a cipher that its limits do not name", "encryption", (facet) => ({
    encryptionStatus: async (input, call) => ({ ...(await facet.encryptionStatus(input, call)), cipher: "rot13" }),
  })),
  facetMutant("storage.encryption.online", "loses the owner", "encryption", (facet, store) => ({
    rotateKey(input, call) {
      store.get(input.volumeId).attachment = undefined;
      return facet.rotateKey(input, call);
    },
  })),
  facetMutant("storage.encryption.history", "forgets what has the old key", "encryption", (facet, store) => ({
    async rotateKey(input, call) {
      await facet.rotateKey(input, call);
      for (const { blocks } of store.pool.snapshots.values()) blocks.clear();
    },
  })),
  {
    breaks: "storage.encryption.killed",
    how: "can't read what it has when the key is gone from memory",
    mutate: (instance) => ({
      ...instance,
      killStorageProcess: async ({ volumeId }) =>
        (instance.implementation as MemoryStorageProvider).get(volumeId).blocks.clear(),
    }),
  },
  facetMutant("storage.migrate.pivot", "leaves behind what was written while it moved", "migrate", (facet, store) => ({
    async pivotMigration(input, call) {
      await facet.pivotMigration(input, call);
      store.get(input.volumeId).blocks.delete(500);
    },
  })),
  facetMutant("storage.migrate.cancel", "goes on moving", "migrate", () => ({ cancelMigration: async () => {} })),
  facetMutant("storage.resize.attached", "loses the owner", "resize", (facet, store) => ({
    resizeVolume(input, call) {
      store.get(input.volumeId).attachment = undefined;
      return facet.resizeVolume(input, call);
    },
  })),
  facetMutant("storage.resize.cut", "only notes the smaller size", "resize", (facet, store) => ({
    async resizeVolume(input, call) {
      const volume = store.get(input.volumeId);
      const blocks = new Map(volume.blocks);
      const made = await facet.resizeVolume(input, call);
      volume.blocks = blocks;
      return made;
    },
  })),
  mutant("storage.capacity.over-subscription", "promises whatever is asked for", (store) => ({
    facets: {
      ...store.facets,
      resize: {
        resizeVolume: async (input) =>
          Object.assign(store.get(input.volumeId), input) && store.view(store.get(input.volumeId)),
      },
    },
  })),
];
