import { VdcError } from "@vdc-os/core";
import { context, dataMutant, mutant, named, type StorageMutant } from "./build-mutant.ts";

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** What strange input, callers that leave, and callers that come together break. */
export const robustnessMutants: readonly StorageMutant[] = [
  mutant("storage.capacity.full", "never says that it is full", (store) => ({
    capacity: async (input) => ({ ...(await store.capacity(input)), alarms: [] }),
  })),
  dataMutant("storage.capacity.full", "loses the last write before it is full", (client) => ({
    ...client,
    async read(offset, length) {
      const data = await client.read(offset, length);
      return offset > 2 ** 20 && offset < 2 ** 26 ? data.fill(0) : data;
    },
  })),
  mutant("storage.attributes.known", "says 'yes' where the contract has a boolean", (store) => ({
    async describe() {
      const description = await store.describe();
      return { ...description, attributes: { ...description.attributes, thin: "yes" } };
    },
  })),
  mutant("storage.hostile.ids", "has a volume for every id", (store) => ({
    getVolume: async (input) => {
      if (input.volumeId.includes("/")) return { ...named(store, "disk"), volumeId: input.volumeId };
      return store.getVolume(input);
    },
  })),
  mutant("storage.hostile.names", "gives short names", (store) => ({
    createVolume: (input, call) => store.createVolume({ ...input, name: input.name.slice(0, 32) }, call),
  })),
  mutant("storage.hostile.sizes", "makes a volume of nothing", (store) => ({
    createVolume: (input, call) =>
      store.createVolume({ ...input, capacityBytes: Math.max(4096, input.capacityBytes) }, call),
  })),
  mutant("storage.hostile.tokens", "takes a number for a token", (store) => ({
    listVolumes: ({ pageToken, ...input }) =>
      store.listVolumes(pageToken === undefined || pageToken === "0" ? input : { ...input, pageToken }),
  })),
  mutant("storage.cancel.create", "counts what it does not make", (store) => {
    let lost = 0;
    return {
      async createVolume(input, call) {
        lost += input.capacityBytes;
        await turns(6);
        if (call.signal.aborted) throw new VdcError("CANCELLED", "given up");
        lost -= input.capacityBytes;
        return store.createVolume(input, call);
      },
      async capacity(input) {
        const pool = await store.capacity(input);
        return { ...pool, provisionedBytes: pool.provisionedBytes + lost };
      },
    };
  }),
  mutant("storage.cancel.delete", "takes the data first, and never the name when it is given up", (store) => {
    const half = new Set<string>();
    return {
      async deleteVolume(input, call) {
        if (half.has(input.volumeId)) return;
        half.add(input.volumeId);
        await turns(3);
        if (call.signal.aborted) throw new VdcError("CANCELLED", "given up");
        return store.deleteVolume(input, context);
      },
    };
  }),
  mutant("storage.cancel.attach", "stays busy for ever once it was given up", (store) => {
    const busy = new Set<string>();
    return {
      async attachVolume(input, call) {
        if (busy.has(input.volumeId)) throw new VdcError("RESOURCE_EXHAUSTED", "busy");
        busy.add(input.volumeId);
        await turns(3);
        if (call.signal.aborted) throw new VdcError("CANCELLED", "given up");
        busy.delete(input.volumeId);
        return store.attachVolume(input, context);
      },
    };
  }),
  mutant("storage.concurrent.changes", "lets the last one to arrive win, whatever its generation", (store) => ({
    async attachVolume(input) {
      await turns(7 - input.generation);
      store.get(input.volumeId).highWater = input.generation - 1;
      return store.attachVolume(input, context);
    },
  })),
  mutant("storage.concurrent.deletes", "looks for the name, waits, and makes a volume", (store) => ({
    async createVolume(input) {
      await turns(1);
      const made = await store.createVolume({ ...input, name: `${input.name}-${store.pool.nextId}` }, context);
      const volume = store.pool.volumes.get(made.volumeId);
      if (volume !== undefined) volume.name = input.name;
      return { ...made, name: input.name };
    },
  })),
];
