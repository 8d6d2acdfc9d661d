import { VdcError } from "@vdc-os/core";
import { forgiving } from "../build-mutant.ts";
import { context, dataMutant, mutant, named, restartMutant, type StorageMutant, unfenced } from "./build-mutant.ts";

/** What breaks volumes, lists, capacity and attachments. */
export const volumeMutants: readonly StorageMutant[] = [
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
      await store.deleteVolume(input, context);
      store.pool.nextId--;
    },
  })),
  mutant("storage.delete.absent", "does not find what is absent", (store) => ({
    async deleteVolume(input) {
      store.get(input.volumeId);
      return store.deleteVolume(input, context);
    },
  })),
  mutant("storage.delete.attached", "detaches what it deletes", (store) => ({
    async deleteVolume(input) {
      const volume = store.pool.volumes.get(input.volumeId);
      if (volume) volume.attachment = undefined;
      return store.deleteVolume(input, context);
    },
  })),
  mutant("storage.get.absent", "takes an absent volume for detached", (store) => ({
    getAttachment: (input) => forgiving(store.getAttachment(input), () => ({})),
  })),
  mutant("storage.health.well", "does not know how a volume is", () => ({
    health: async () => ({ condition: "degraded", message: "not known" }),
  })),
  restartMutant("storage.durable.restart", "forgets the last delete", ({ pool }) => {
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
        return store.attachVolume({ ...input, generation: input.generation + 1 }, context);
      }
      return store.attachVolume(input, context);
    },
  })),
  mutant("storage.attach.otherwise", "moves the present generation", (store) => ({
    async attachVolume(input) {
      const { attachment } = store.get(input.volumeId);
      if (attachment?.generation !== input.generation) return store.attachVolume(input, context);
      store.get(input.volumeId).attachment = { ...attachment, host: input.host };
      return { ...attachment, host: input.host };
    },
  })),
  mutant("storage.attach.older", "forgets the generation with the attachment", (store) => ({
    async detachVolume(input) {
      await store.detachVolume(input, context);
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
      await store.revokeAttachment(input, context);
      store.get(input.volumeId).highWater = input.generation;
    },
  })),
  mutant("storage.revoke.newer", "cuts off whoever is there", (store) => ({
    async revokeAttachment(input) {
      await store.revokeAttachment(input, context);
      store.get(input.volumeId).attachment = undefined;
    },
  })),
  restartMutant("storage.revoke.restart", "keeps its marks in memory", ({ pool }) => {
    for (const volume of pool.volumes.values()) volume.highWater = 0;
  }),
  restartMutant("storage.attach.restart", "keeps its attachments in memory", ({ pool }) => {
    for (const volume of pool.volumes.values()) volume.attachment = undefined;
  }),
];
