import { join } from "node:path";
import { createOperationContext } from "@vdc-os/core";
import type { Handle } from "@vdc-os/core";
import type { StateStore } from "@vdc-os/core/state/v1";
import { createTestPool, mib } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { SqliteStateStore } from "@vdc-os/plugin-sqlite-state-store";
import { createMemoryPool, MemoryStorageProvider } from "@vdc-os/ready/storage";
import { describe, expect, it } from "vitest";
import { withLimits } from "./other-bases.ts";
import { type BelowHandles, handlesOn, openOn } from "./over-base.ts";
import { temporaryFolder } from "./test-datacenter.ts";

const context = createOperationContext();
const deep = process.env.VDC_DEEP !== undefined;
/** Names are reserved for so many clones at once: samples are whole batches, so that each has the same transactions. */
const batch = 256;
const sample = deep ? 4 * batch : batch;

/** A store that costs the same however much is in it; the one in memory goes through its whole log at each call. */
async function openState(): Promise<SqliteStateStore & AsyncDisposable> {
  const folder = temporaryFolder();
  const store = await SqliteStateStore.open({ path: join(folder.path, "state.db") });
  return Object.assign(store, {
    [Symbol.asyncDispose]: async () => {
      await store.close();
      folder[Symbol.dispose]();
    },
  });
}

/** Counts the calls that go through a handle, those of its facets too. */
function counting<T extends object>(handle: T, count: Map<string, number>): T {
  const wrap = (target: object): object =>
    new Proxy(target, {
      get(_, key) {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          count.set(String(key), (count.get(String(key)) ?? 0) + 1);
          const result = (await value.apply(target, args)) as { readonly operations?: object };
          return key === "facet" && result.operations ? { ...result, operations: wrap(result.operations) } : result;
        };
      },
    });
  return wrap(handle) as T;
}

/** Clones one parent many times, and tells what the first and the last clones cost. */
async function cloneMany(
  handles: BelowHandles,
  options: {
    readonly clones: number;
    readonly sample: number;
    readonly capacityBytes: number;
    readonly running: boolean;
  },
) {
  const base = new Map<string, number>();
  const state = new Map<string, number>();
  const entries = new Map<string, number>();
  const counted = {
    base: counting(handles.base, base),
    state: listing(counting(handles.state, state), entries),
  };
  const provider = await openOn(counted);
  const { volumeId } = await provider.createVolume({ name: "parent", capacityBytes: options.capacityBytes }, context);
  const { snapshots, clones } = provider.facets;
  if (options.running) {
    await provider.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation: 1 }, context);
  }
  // A fleet of a running machine is made of one snapshot of it.
  const source = options.running
    ? {
        kind: "snapshot" as const,
        snapshotId: (await snapshots.createSnapshot({ name: "golden", volumeId }, context)).snapshotId,
      }
    : { kind: "volume" as const, volumeId };
  const cost = { first: {} as object, last: {} as object };
  for (let index = 0; index < options.clones; index++) {
    const from = index === 0 || index === options.clones - options.sample;
    if (from) for (const counts of [base, state, entries]) counts.clear();
    await clones.cloneVolume({ name: `clone-${index}`, source, want: "linked" }, context);
    const at = { base: Object.fromEntries(base), state: Object.fromEntries(state), listed: entries.get("list") ?? 0 };
    if (index === options.sample - 1) cost.first = at;
    if (index === options.clones - 1) cost.last = at;
  }
  return { provider, volumeId, cost };
}

/** Counts the entries that lists return. */
function listing(store: Handle<StateStore>, entries: Map<string, number>): Handle<StateStore> {
  return new Proxy(store, {
    get(target, key) {
      const value = Reflect.get(target, key, target) as unknown;
      if (key !== "list") return value;
      return async (...args: Parameters<typeof store.list>) => {
        const page = await target.list(...args);
        entries.set("list", (entries.get("list") ?? 0) + page.entries.length);
        return page;
      };
    },
  });
}

describe("many clones of one parent", () => {
  it.each([false, true])(
    "cost the same each, however many there are (of a snapshot of a running volume: %s)",
    async (running) => {
      const clones = (deep ? 40 : 8) * batch;
      await using state = await openState();
      const store = new MemoryStorageProvider(createMemoryPool(2 ** 40));
      await using handles = await handlesOn(store, state);
      const options = { clones, sample, capacityBytes: 65536, running };
      const { provider, volumeId, cost } = await cloneMany(handles, options);
      expect(cost.last).toEqual(cost.first);
      expect(cost.first).toMatchObject({
        base: { createOverlay: sample },
        state: { transact: sample + 2 * (sample / batch) },
        listed: 0,
      });
      const lineage = await provider.facets.lineage.getLineage({ volumeId }, context);
      expect(lineage.children).toHaveLength(clones);
    },
    deep ? 3_600_000 : 120_000,
  );

  it(
    "are had on a real pool, and go again with their parent",
    async () => {
      const clones = (deep ? 40 : 4) * batch;
      await using state = await openState();
      await using test = await createTestPool("here", { maxOverSubscription: 1000 });
      await using handles = await handlesOn(test.provider, state);
      const options = { clones, sample, capacityBytes: mib, running: false };
      const { provider, volumeId, cost } = await cloneMany(handles, options);
      expect(cost.last).toEqual(cost.first);
      await provider.deleteVolume({ volumeId }, context);
      const tree = await provider.facets.lineage.lineageTree({}, context);
      expect(tree).toHaveLength(clones + 1);
      const remove = async (lane: number): Promise<void> => {
        for (let index = lane; index < clones; index += 8) {
          await provider.deleteVolume({ volumeId: tree[index + 1]?.volumeId ?? "" }, context);
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, lane) => remove(lane)));
      expect((await test.provider.listVolumes({}, context)).items).toEqual([]);
    },
    deep ? 3_600_000 : 120_000,
  );
});

describe("deep chains", () => {
  it("works 220 deep on a real pool, and is refused with a clear word where the pool ends", async () => {
    await using test = await createTestPool("here", { maxOverSubscription: 1000 });
    await using handles = await handlesOn(test.provider);
    const provider = await openOn(handles);
    const { clones, lineage } = provider.facets;
    let { volumeId } = await provider.createVolume({ name: "layer-1", capacityBytes: mib }, context);
    let depth = 1;
    const grow = async (): Promise<void> => {
      const source = { kind: "volume", volumeId } as const;
      const made = await clones.cloneVolume({ name: `layer-${depth + 1}`, source, want: "linked" }, context);
      volumeId = made.volume.volumeId;
      depth = made.depth;
    };
    while (depth < 220) await grow();
    expect((await lineage.getLineage({ volumeId }, context)).depth).toBe(220);
    while (depth < 250) await grow();
    await expect(grow()).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "VDC_CHAIN_TOO_DEEP",
      message: expect.stringContaining("flatten 'layer-250' first"),
    });
    await lineage.flatten({ volumeId }, context);
    await grow();
    expect(depth).toBe(2);
  }, 120_000);

  it("is told in the caller's names where the provider underneath says no later than it announced", async () => {
    await using test = await createTestPool("here");
    await using handles = await handlesOn(withLimits(test.provider, "layering", { maxDepth: 0 }));
    const provider = await openOn(handles);
    const { volumeId } = await provider.createVolume({ name: "disk", capacityBytes: mib }, context);
    const source = { kind: "volume", volumeId } as const;
    const { volume } = await provider.facets.clones.cloneVolume({ name: "clone", source, want: "linked" }, context);
    await expect(
      provider.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation: 1 }, context),
    ).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("'disk'"),
      blockers: [{ kind: "volume", name: "clone" }],
    });
    expect(volume.name).toBe("clone");
  });

  it("is flattened in the background where a limit is set, also after a stop", async () => {
    const store = new MemoryStorageProvider();
    await using handles = await handlesOn(store);
    const provider = await openOn(handles, { flattenAtDepth: 3 });
    const { clones, lineage } = provider.facets;
    const root = await provider.createVolume({ name: "layer-1", capacityBytes: 65536 }, context);
    let { volumeId } = root;
    for (let depth = 2; depth <= 3; depth++) {
      const source = { kind: "volume", volumeId } as const;
      volumeId = (await clones.cloneVolume({ name: `layer-${depth}`, source, want: "linked" }, context)).volume
        .volumeId;
    }
    await provider.settled();
    expect((await lineage.getLineage({ volumeId }, context)).depth).toBe(3);
    const source = { kind: "volume", volumeId } as const;
    const first = await clones.cloneVolume({ name: "deep-1", source, want: "linked" }, context);
    expect(first.depth).toBe(4);
    await provider.settled();
    expect((await lineage.getLineage({ volumeId: first.volume.volumeId }, context)).depth).toBe(1);
    // One that was made when the provider stopped.
    await provider.close();
    const second = await clones.cloneVolume({ name: "deep-2", source, want: "linked" }, context);
    expect((await lineage.getLineage({ volumeId: second.volume.volumeId }, context)).depth).toBe(4);
    const again = await openOn(handles, { flattenAtDepth: 3 });
    await again.settled();
    expect((await lineage.getLineage({ volumeId: second.volume.volumeId }, context)).depth).toBe(1);
    expect((await handles.state.list({ prefix: "linked-clones/clones/deep/" })).entries).toEqual([]);
    await again.close();
  });
});
