import { VdcError } from "@vdc-os/core";
import type { Snapshot } from "@vdc-os/core/storage/v1";
import type { MemorySnapshot } from "../../src/storage/memory-pool.ts";
import type { MemoryStorageProvider } from "../../src/storage/memory-storage-provider.ts";
import { forgiving } from "../build-mutant.ts";
import { context, facetMutant, mutant, restartMutant, type StorageMutant } from "./build-mutant.ts";

/** Makes a kept snapshot follow its volume. */
function follow(store: MemoryStorageProvider, { snapshotId, volumeId }: Snapshot): void {
  const snapshot = store.pool.snapshots.get(snapshotId) as MemorySnapshot;
  Object.assign(snapshot, { blocks: store.get(volumeId).blocks });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What breaks snapshots, reverts and what is made of snapshots. */
export const snapshotMutants: readonly StorageMutant[] = [
  facetMutant("storage.snapshots.content", "follows the volume", "snapshots", (facet, store) => ({
    async createSnapshot(input, call) {
      const made = await facet.createSnapshot(input, call);
      follow(store, made);
      return made;
    },
  })),
  facetMutant(
    "storage.snapshots.attached",
    "copies block by block while the owner writes",
    "snapshots",
    (facet, store) => ({
      async createSnapshot(input, call) {
        const made = await facet.createSnapshot(input, call);
        const { blocks } = store.pool.snapshots.get(made.snapshotId) as MemorySnapshot;
        const volume = store.get(input.volumeId);
        blocks.clear();
        for (let block = 1000; block >= 0; block--) {
          if (block % 5 === 0) await turn();
          const data = volume.blocks.get(block);
          if (data !== undefined) blocks.set(block, data);
        }
        return made;
      },
    }),
  ),
  facetMutant("storage.snapshots.read", "shows the volume as it is", "snapshots", (facet, store) => ({
    async attachSnapshot(input, call) {
      follow(store, await facet.getSnapshot(input, call));
      return facet.attachSnapshot(input, call);
    },
  })),
  facetMutant("storage.snapshots.read-holds", "deletes under a reader", "snapshots", (facet, store) => ({
    async deleteSnapshot(input, call) {
      store.pool.snapshots.get(input.snapshotId)?.readingHosts.clear();
      return facet.deleteSnapshot(input, call);
    },
  })),
  facetMutant("storage.snapshots.idempotent", "takes it anew when it is repeated", "snapshots", (facet, store) => ({
    async createSnapshot(input, call) {
      const made = await facet.createSnapshot(input, call);
      const snapshot = store.pool.snapshots.get(made.snapshotId) as MemorySnapshot;
      Object.assign(snapshot, { blocks: new Map(store.get(input.volumeId).blocks) });
      return made;
    },
  })),
  facetMutant("storage.snapshots.idempotent", "ignores whose it is", "snapshots", (facet) => ({
    createSnapshot: ({ owner: _, ...input }, call) => facet.createSnapshot(input, call),
  })),
  facetMutant(
    "storage.snapshots.concurrent",
    "looks for the name, waits, and takes another",
    "snapshots",
    (facet, store) => ({
      async createSnapshot(input, call) {
        const taken = [...store.pool.snapshots.values()].some(({ name }) => name === input.name);
        await turn();
        if (taken) return facet.createSnapshot(input, call);
        const made = await facet.createSnapshot({ ...input, name: `${input.name}-${store.pool.nextId}` }, call);
        Object.assign(store.pool.snapshots.get(made.snapshotId) as MemorySnapshot, { name: input.name });
        return { ...made, name: input.name };
      },
    }),
  ),
  facetMutant("storage.snapshots.delete", "takes the next one's blocks with it", "snapshots", (facet, store) => ({
    async deleteSnapshot(input, call) {
      await facet.deleteSnapshot(input, call);
      [...store.pool.snapshots.values()].at(-1)?.blocks.clear();
    },
  })),
  mutant("storage.snapshots.holds-volume", "takes the snapshots with the volume", (store) => ({
    async deleteVolume(input) {
      for (const { snapshotId, volumeId } of [...store.pool.snapshots.values()]) {
        if (volumeId === input.volumeId) store.pool.snapshots.delete(snapshotId);
      }
      return store.deleteVolume(input, context);
    },
  })),
  restartMutant("storage.snapshots.restart", "keeps what snapshots hold in memory", ({ pool }) => {
    for (const { blocks } of pool.snapshots.values()) blocks.clear();
  }),
  facetMutant("storage.snapshots.revert", "keeps the volume's size", "snapshots", (facet, store) => ({
    async revertToSnapshot(input, call) {
      const volume = store.get(input.volumeId);
      const { capacityBytes } = volume;
      await facet.revertToSnapshot(input, call);
      volume.capacityBytes = capacityBytes;
    },
  })),
  facetMutant("storage.snapshots.revert", "lends the snapshot's blocks to the volume", "snapshots", (facet, store) => ({
    async revertToSnapshot(input, call) {
      await facet.revertToSnapshot(input, call);
      store.get(input.volumeId).blocks = (store.pool.snapshots.get(input.snapshotId) as MemorySnapshot).blocks;
    },
  })),
  facetMutant("storage.snapshots.revert-blockers", "reverts under the owner", "snapshots", (facet, store) => ({
    async revertToSnapshot(input, call) {
      const volume = store.get(input.volumeId);
      volume.attachment = undefined;
      return facet.revertToSnapshot(input, call);
    },
  })),
  facetMutant("storage.snapshots.later", "drops later snapshots", "snapshots", (facet, store) => ({
    async revertToSnapshot(input, call) {
      await facet.revertToSnapshot(input, call);
      for (const id of [...store.pool.snapshots.keys()]) if (id > input.snapshotId) store.pool.snapshots.delete(id);
    },
  })),
  facetMutant("storage.snapshots.list", "lists in the order they were taken", "snapshots", (facet) => ({
    async listSnapshots(input, call) {
      const page = await facet.listSnapshots(input, call);
      return { ...page, items: [...page.items].sort((a, b) => (a.snapshotId < b.snapshotId ? -1 : 1)) };
    },
  })),
  facetMutant("storage.snapshots.list", "does not look at whose they are", "snapshots", (facet) => ({
    listSnapshots: ({ ownerDatacenter: _, ...input }, call) => facet.listSnapshots(input, call),
  })),
  facetMutant("storage.snapshots.absent", "makes up what is absent", "snapshots", (facet) => ({
    attachSnapshot: (input, call) =>
      forgiving(facet.attachSnapshot(input, call), () => ({
        ...input,
        transport: { kind: "nbd-unix", path: "/memory", exportName: "nothing" },
      })),
  })),
  facetMutant("storage.layering.snapshot", "reads what the volume holds now", "layering", (facet, store) => ({
    async createOverlay(input, call) {
      const made = await facet.createOverlay(input, call);
      if (input.parent.kind === "snapshot") {
        follow(store, (await store.facets.snapshots.getSnapshot(input.parent, call)) as Snapshot);
      }
      return made;
    },
  })),
  facetMutant("storage.layering.snapshot", "lets go of a snapshot that is read from", "snapshots", (_, store) => ({
    async deleteSnapshot({ snapshotId }) {
      store.pool.snapshots.delete(snapshotId);
    },
  })),
  facetMutant("storage.clones.snapshot", "clones the volume", "clones", (facet, store) => ({
    async cloneVolume(input, call) {
      if (input.source.kind === "volume") return facet.cloneVolume(input, call);
      const { volumeId } = store.pool.snapshots.get(input.source.snapshotId) as MemorySnapshot;
      return facet.cloneVolume({ ...input, source: { kind: "volume", volumeId } }, call);
    },
  })),
  facetMutant("storage.group-snapshots.moment", "takes one after the other", "groupSnapshots", (facet, store) => ({
    async createGroupSnapshot(input, call) {
      const group = await facet.createGroupSnapshot(input, call);
      for (const { snapshotId, volumeId } of group.snapshots) {
        for (let turns = 0; turns < 20; turns++) await turn();
        const snapshot = store.pool.snapshots.get(snapshotId) as MemorySnapshot;
        Object.assign(snapshot, { blocks: new Map(store.get(volumeId).blocks) });
      }
      return group;
    },
  })),
  facetMutant(
    "storage.group-snapshots.whole",
    "keeps what it took before it failed",
    "groupSnapshots",
    (facet, store) => ({
      async createGroupSnapshot(input, call) {
        try {
          return await facet.createGroupSnapshot(input, call);
        } catch (error) {
          const [volumeId = ""] = input.volumeIds;
          await store.facets.snapshots.createSnapshot({ name: "left", volumeId }, call);
          throw error;
        }
      },
    }),
  ),
  facetMutant(
    "storage.group-snapshots.delete",
    "deletes what it can before it fails",
    "groupSnapshots",
    (facet, store) => ({
      async deleteGroupSnapshot(input, call) {
        for (const { snapshotId, groupSnapshotId, readingHosts } of [...store.pool.snapshots.values()]) {
          if (groupSnapshotId !== input.groupSnapshotId) continue;
          if (readingHosts.size > 0) throw new VdcError("FAILED_PRECONDITION", "it is read");
          store.pool.snapshots.delete(snapshotId);
        }
        return facet.deleteGroupSnapshot(input, call);
      },
    }),
  ),
  restartMutant("storage.group-snapshots.restart", "keeps its groups in memory", ({ pool }) => {
    pool.groups.clear();
  }),
];
