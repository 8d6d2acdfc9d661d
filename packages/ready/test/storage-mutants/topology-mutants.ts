import { facetMutant, mutant, type StorageMutant } from "./build-mutant.ts";

/** What a wrong word about hosts breaks. */
export const topologyMutants: readonly StorageMutant[] = [
  mutant("storage.topology.attach", "attaches a volume wherever it is asked to", (store) => ({
    async attachVolume(input, call) {
      const volume = store.pool.volumes.get(input.volumeId);
      if (volume === undefined || volume.accessibleHosts === undefined) return store.attachVolume(input, call);
      const everywhere = { ...volume, accessibleHosts: undefined };
      store.pool.volumes.set(input.volumeId, everywhere);
      const attachment = await store.attachVolume(input, call);
      store.pool.volumes.set(input.volumeId, { ...everywhere, accessibleHosts: volume.accessibleHosts });
      return attachment;
    },
  })),
  mutant("storage.topology.attach", "cuts the owner off for a host that it then refuses", (store) => ({
    async attachVolume(input, call) {
      const volume = store.pool.volumes.get(input.volumeId);
      if (volume?.accessibleHosts?.includes(input.host) === false) volume.attachment = undefined;
      return store.attachVolume(input, call);
    },
  })),
  mutant("storage.topology.create", "makes a volume for a host that does not reach the pool", (store) => ({
    createVolume: ({ accessibleHosts: _, ...input }, call) => store.createVolume(input, call),
  })),
  mutant("storage.topology.create", "says of a volume that any host reaches it, and refuses one", (store) => ({
    async createVolume(input, call) {
      const { accessibleHosts: _, ...volume } = await store.createVolume(input, call);
      return volume;
    },
  })),
  facetMutant("storage.topology.clone", "does not tell whom a clone is kept from", "clones", (clones, store) => {
    const getVolume = store.getVolume.bind(store);
    return {
      async cloneVolume(input, call) {
        const clone = await clones.cloneVolume(input, call);
        store.getVolume = async (ref) => {
          const { accessibleHosts: _, ...volume } = await getVolume(ref);
          return volume;
        };
        return clone;
      },
    };
  }),
  facetMutant(
    "storage.topology.overlay",
    "tells of an overlay that nobody reaches it",
    "layering",
    (layering, store) => ({
      async createOverlay(input, call) {
        const made = await layering.createOverlay(input, call);
        const volume = store.pool.volumes.get(made.volumeId);
        if (volume !== undefined) store.getVolume = async () => ({ ...made, accessibleHosts: ["host-b"] });
        return made;
      },
    }),
  ),
];
