import { VdcError } from "@vdc-os/core";
import { forgiving } from "../build-mutant.ts";
import { context, facetMutant, mutant, named, restartMutant, type StorageMutant } from "./build-mutant.ts";

/** What breaks sizes, images, overlays and clones. */
export const copyMutants: readonly StorageMutant[] = [
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
        await store.deleteVolume(input, context);
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
      if (input.access === "readOnly") return store.attachVolume(input, context);
      const attachment = await store.attachVolume({ ...input, access: "readOnly" }, context);
      store.get(input.volumeId).attachment = { ...attachment, access: "readWrite" };
      return { ...attachment, access: "readWrite" };
    },
  })),
  facetMutant("storage.clones.online", "links to a volume that is written", "clones", (facet, store) => ({
    async cloneVolume(input, call) {
      if (input.source.kind !== "volume") return facet.cloneVolume(input, call);
      const volume = store.get(input.source.volumeId);
      const { attachment } = volume;
      volume.attachment = undefined;
      try {
        return await facet.cloneVolume(input, call);
      } finally {
        volume.attachment = attachment;
      }
    },
  })),
  mutant("storage.clones.online", "says that it clones what is written, and shows later writes", (store) => ({
    describe: async () => {
      const description = await store.describe();
      const clones = description.facets.clones;
      if (clones?.status !== "available") return description;
      const online = { ...clones, limits: { ...clones.limits, online: true } };
      return { ...description, facets: { ...description.facets, clones: online } };
    },
    facets: {
      ...store.facets,
      clones: {
        async cloneVolume(input, call) {
          const volume = input.source.kind === "volume" ? store.get(input.source.volumeId) : undefined;
          const attachment = volume?.attachment;
          if (volume !== undefined) volume.attachment = undefined;
          try {
            return await store.facets.clones.cloneVolume(input, call);
          } finally {
            if (volume !== undefined) volume.attachment = attachment;
          }
        },
      },
    },
  })),
  facetMutant("storage.clones.snapshot-deleted", "takes a snapshot from its clones", "snapshots", (_, store) => ({
    async deleteSnapshot({ snapshotId }) {
      store.pool.snapshots.delete(snapshotId);
    },
  })),
  restartMutant("storage.clones.durable", "forgets who reads from whom", ({ pool }) => {
    for (const volume of pool.volumes.values()) volume.parentVolumeId = undefined;
  }),
  facetMutant("storage.lineage.tree", "tells children before parents", "lineage", (facet) => ({
    lineageTree: async (input, call) => [...(await facet.lineageTree(input, call))].reverse(),
  })),
  mutant("storage.lineage.tombstone", "keeps the name of a tombstone", (store) => ({
    async deleteVolume(input) {
      const volume = store.pool.volumes.get(input.volumeId);
      await store.deleteVolume(input, context);
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
