import { VdcError } from "@vdc-os/core";
import { contentOf, type MemoryVolume } from "../../src/storage/memory-pool.ts";
import type { MemoryStorageProvider } from "../../src/storage/memory-storage-provider.ts";
import { context, type StorageMutant } from "./build-mutant.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What a mutant does in two steps, with a kill in between. */
interface TwoSteps<I> {
  /** Which operation takes its time: of the contract itself, or of a facet. */
  readonly operation: string;
  readonly facet?: keyof MemoryStorageProvider["facets"];
  /** What a kill leaves of a call that was under way; `finish` does the whole of it. */
  cutOff(store: MemoryStorageProvider, input: I, finish: () => Promise<unknown>): void | Promise<void>;
}

type AnyCall = (input: unknown, call: unknown) => Promise<unknown>;

/** A mutant that leaves something behind of a call that is cut off: its calls end one after the other, so that a kill finds some under way. */
function crashMutant<I>(breaks: string, how: string, { operation, facet, cutOff }: TwoSteps<I>): StorageMutant {
  return {
    breaks,
    how,
    mutate(instance) {
      const store = instance.implementation as MemoryStorageProvider;
      const underWay = new Set<I>();
      let isDead = false;
      const owner = (facet === undefined ? store : store.facets[facet]) as unknown as Record<string, AnyCall>;
      const quickly = owner[operation]?.bind(owner);
      const slowly = async (input: unknown, call: unknown): Promise<unknown> => {
        underWay.add(input as I);
        for (let turns = underWay.size; turns > 0; turns--) await turn();
        if (isDead) throw new VdcError("UNAVAILABLE", "it was killed");
        underWay.delete(input as I);
        return quickly?.(input, call);
      };
      owner[operation] = slowly;
      return {
        ...instance,
        reopen: async () => {
          isDead = true;
          for (const input of underWay) await cutOff(store, input, async () => quickly?.(input, context));
          underWay.clear();
          return instance.reopen();
        },
      };
    },
  };
}

const inPool = ({ pool }: MemoryStorageProvider, { volumeId }: { readonly volumeId: string }): MemoryVolume =>
  pool.volumes.get(volumeId) as MemoryVolume;

/** Leaves something in a pool that nobody sees, and that its space is promised to. */
function leak(store: MemoryStorageProvider, name: string, capacityBytes: number): void {
  store.add({ name, capacityBytes }).tombstoned = true;
}

type Name = { readonly name: string };
type Ref = { readonly volumeId: string };

/** What a kill in the middle of a call breaks. */
export const crashMutants: readonly StorageMutant[] = [
  crashMutant<Name & { readonly capacityBytes: number }>(
    "storage.crash.create",
    "promises the space of a create that was cut off for ever",
    { operation: "createVolume", cutOff: (store, { name, capacityBytes }) => leak(store, name, capacityBytes) },
  ),
  crashMutant<Name & { readonly capacityBytes: number }>(
    "storage.crash.create",
    "has made a volume twice that was being made",
    {
      operation: "createVolume",
      cutOff(store, input) {
        for (const name of [input.name, `${input.name}-again`]) store.add({ ...input, name }).name = input.name;
      },
    },
  ),
  crashMutant<Name & { readonly capacityBytes: number }>(
    "storage.crash.create",
    "takes another's blocks for a volume that was being made",
    {
      operation: "createVolume",
      cutOff(store, { name, capacityBytes }) {
        store.add({ name, capacityBytes }).blocks = new Map(store.findByName("kept")?.blocks);
      },
    },
  ),
  crashMutant<Ref>("storage.crash.delete", "has taken the data of a volume that is there still", {
    operation: "deleteVolume",
    cutOff: (store, input) => inPool(store, input).blocks.clear(),
  }),
  crashMutant<Ref>("storage.crash.delete", "keeps the blocks of a volume whose name is gone", {
    operation: "deleteVolume",
    cutOff(store, input) {
      inPool(store, input).tombstoned = true;
    },
  }),
  crashMutant<Ref & { readonly generation: number }>(
    "storage.crash.attach",
    "has seen a generation that nobody asked for",
    {
      operation: "attachVolume",
      cutOff(store, input) {
        inPool(store, input).highWater = input.generation + 10;
      },
    },
  ),
  crashMutant<Ref>("storage.crash.attach", "has lost what it knew of an owner that was being detached", {
    operation: "detachVolume",
    cutOff(store, input) {
      Object.assign(inPool(store, input), { attachment: undefined, highWater: 0 });
    },
  }),
  crashMutant<Ref>("storage.crash.resize", "leaves a size between the old one and the new", {
    operation: "resizeVolume",
    facet: "resize",
    cutOff(store, input) {
      inPool(store, input).capacityBytes = 1.5 * 2 ** 20;
    },
  }),
  crashMutant<Ref & { readonly capacityBytes: number }>("storage.crash.resize", "promises what it did not grow by", {
    operation: "resizeVolume",
    facet: "resize",
    cutOff: (store, { volumeId, capacityBytes }) => leak(store, `${volumeId}-grown`, capacityBytes),
  }),
  crashMutant<Name & Ref>("storage.crash.snapshot", "shows half of a snapshot that was being taken", {
    operation: "createSnapshot",
    facet: "snapshots",
    async cutOff({ pool }, { name }, finish) {
      await finish();
      for (const snapshot of pool.snapshots.values()) if (snapshot.name === name) snapshot.blocks.delete(255);
    },
  }),
  crashMutant<{ readonly snapshotId: string }>(
    "storage.crash.snapshot-delete",
    "has taken the data, and not the name",
    {
      operation: "deleteSnapshot",
      facet: "snapshots",
      cutOff: ({ pool }, { snapshotId }) => pool.snapshots.get(snapshotId)?.blocks.clear(),
    },
  ),
  crashMutant<Ref & { readonly snapshotId: string }>("storage.crash.revert", "has gone half of the way back", {
    operation: "revertToSnapshot",
    facet: "snapshots",
    cutOff({ pool }, { volumeId, snapshotId }) {
      const block = pool.snapshots.get(snapshotId)?.blocks.get(0);
      if (block !== undefined) pool.volumes.get(volumeId)?.blocks.set(0, block);
    },
  }),
  crashMutant<{ readonly volumeIds: readonly string[] }>(
    "storage.crash.group-snapshot",
    "leaves a member of a group that is not there",
    {
      operation: "createGroupSnapshot",
      facet: "groupSnapshots",
      async cutOff(store, { volumeIds }) {
        const [volumeId = ""] = volumeIds;
        await store.facets.snapshots.createSnapshot({ name: `member-of-${volumeId}`, volumeId }, context);
      },
    },
  ),
  crashMutant<Name>("storage.crash.overlay", "shows an overlay that does not know its parent yet", {
    operation: "createOverlay",
    facet: "layering",
    async cutOff(store, { name }, finish) {
      await finish();
      forgetParent(store.findByName(name));
    },
  }),
  crashMutant<Name>("storage.crash.clone", "shows a clone that is half copied", {
    operation: "cloneVolume",
    facet: "clones",
    async cutOff(store, { name }, finish) {
      await finish();
      const clone = store.findByName(name) as MemoryVolume;
      clone.blocks = contentOf(store.pool, clone);
      clone.blocks.delete(255);
      forgetParent(clone);
    },
  }),
];

function forgetParent(volume: MemoryVolume | undefined): void {
  Object.assign(volume ?? {}, { parentVolumeId: undefined, parentSnapshotId: undefined });
}
