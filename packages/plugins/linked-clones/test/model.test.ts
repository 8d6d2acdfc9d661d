import { createOperationContext, isVdcError } from "@vdc-os/core";
import type { StorageProvider, VolumeSource, VolumeTransport } from "@vdc-os/core/storage/v1";
import { blockClientOf, createTestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { type BlockClient, createMemoryPool, MemoryStorageProvider, openMemoryTransport } from "@vdc-os/ready/storage";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { LinkedClonesProvider } from "../src/linked-clones-provider.ts";
import { cutting } from "./cutting-handle.ts";
import { ModelFamily, type ModelSnapshot, type ModelVolume, modelBlocks } from "./model-family.ts";
import { type BelowHandles, handlesOn, openOn } from "./over-base.ts";

const context = createOperationContext();
const blockBytes = 65536;
const deep = process.env.VDC_DEEP !== undefined;

interface Step {
  readonly what: (typeof kinds)[number];
  readonly a: number;
  readonly b: number;
  /** After how many calls underneath everything stops. Beyond the last there is no kill. */
  readonly killAfter: number | undefined;
}

const kinds = [
  "create",
  "write",
  "write",
  "hold",
  "clone",
  "clone",
  "clone",
  "cloneSnapshot",
  "cloneSnapshot",
  "snapshot",
  "snapshot",
  "delete",
  "deleteSnapshot",
  "flatten",
  "promote",
  "revert",
] as const;

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(...kinds),
  a: fc.nat(1000),
  b: fc.nat(1000),
  killAfter: fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 30 }) },
  ),
});

/** Scripts of a length. */
function steps(minLength: number): fc.Arbitrary<readonly Step[]> {
  return fc.array(step, { minLength, maxLength: 90, size: "max" });
}

/** What happened in all runs: a model that nothing happens to proves nothing. */
type Happened = Record<
  "kill" | "killed" | "instant" | "kept" | "tombstone" | "flattened" | "reverted" | "linked",
  number
>;

function nothingYet(): Happened {
  return { kill: 0, killed: 0, instant: 0, kept: 0, tombstone: 0, flattened: 0, reverted: 0, linked: 0 };
}

interface Over {
  readonly open: (transport: VolumeTransport) => Promise<BlockClient>;
  readonly happened: Happened;
}

/** Runs steps against the plugin and the model. */
class Run {
  readonly #family = new ModelFamily();
  readonly #handles: BelowHandles;
  readonly #open: (transport: VolumeTransport) => Promise<BlockClient>;
  readonly #happened: Happened;
  #provider: LinkedClonesProvider;
  #names = 0;

  constructor(handles: BelowHandles, provider: LinkedClonesProvider, { open, happened }: Over) {
    this.#happened = happened;
    this.#handles = handles;
    this.#provider = provider;
    this.#open = open;
  }

  async step({ what, a, b, killAfter }: Step): Promise<void> {
    const volumes = this.#family.live();
    const snapshots = this.#family.shown();
    const volume = volumes[a % volumes.length];
    const snapshot = snapshots[b % snapshots.length];
    if (what === "create") return this.#create(killAfter);
    if (what === "cloneSnapshot") {
      if (snapshot !== undefined) await this.#clone({ snapshot }, a % 4 === 0 ? "full" : "linked", killAfter);
    } else if (what === "deleteSnapshot") {
      if (snapshot !== undefined) await this.#deleteSnapshot(snapshot, killAfter);
    } else if (volume === undefined) {
      return;
    } else if (what === "write") await this.#write(volume, b % modelBlocks, 1 + (a % 250));
    else if (what === "hold") await this.#hold(volume);
    else if (what === "clone") await this.#clone({ volume }, b % 4 === 0 ? "full" : "linked", killAfter);
    else if (what === "snapshot") await this.#snapshot(volume, killAfter);
    else if (what === "delete") await this.#delete(volume, killAfter);
    else if (what === "revert") await this.#revert(volume, b);
    else await this.#flatten(volume, what, killAfter);
  }

  /** Fails unless the plugin has what the model has, and the provider underneath no more. */
  async check(): Promise<void> {
    const family = this.#family;
    const tree = await this.#provider.facets.lineage.lineageTree({}, context);
    const seen = tree.map((node) => ({ ...node, children: [...node.children].sort(), snapshots: undefined }));
    const wanted = [...family.volumes.values()].map((volume) => ({
      volumeId: volume.volumeId,
      name: volume.name,
      ...(volume.parentVolumeId === undefined ? {} : { parentVolumeId: volume.parentVolumeId }),
      ...(volume.parentSnapshotId === undefined ? {} : { parentSnapshotId: volume.parentSnapshotId }),
      children: family
        .childrenOf(volume.volumeId)
        .map(({ volumeId }) => volumeId)
        .sort(),
      depth: family.depthOf(volume),
      tombstoned: volume.tombstoned,
    }));
    const byId = (x: { volumeId: string }, y: { volumeId: string }): number => (x.volumeId < y.volumeId ? -1 : 1);
    expect([...seen].sort(byId)).toEqual(wanted.sort(byId));
    for (const [index, { parentVolumeId }] of tree.entries()) {
      if (parentVolumeId === undefined) continue;
      expect(tree.slice(0, index).some(({ volumeId }) => volumeId === parentVolumeId)).toBe(true);
    }
    const below = await this.#handles.base.facet("snapshots");
    if (!below.available) throw new Error(below.reason);
    const volumesBelow = (await this.#handles.base.listVolumes({})).items.map(({ volumeId }) => volumeId);
    expect(new Set(volumesBelow)).toEqual(new Set(family.volumes.keys()));
    const snapshotsBelow = (await below.operations.listSnapshots({})).items.map(({ snapshotId }) => snapshotId);
    expect(new Set(snapshotsBelow)).toEqual(new Set(family.snapshots.keys()));
    const shown = (await this.#provider.facets.snapshots.listSnapshots({}, context)).items.map(({ name }) => name);
    expect(new Set(shown)).toEqual(new Set(family.shown().map(({ name }) => name)));
  }

  async checkContent(): Promise<void> {
    for (const volume of this.#family.live()) {
      if (volume.attached !== undefined) await this.#hold(volume);
      const generation = ++volume.generation;
      const input = { volumeId: volume.volumeId, host: "host-a", access: "readOnly", generation } as const;
      const attachment = await this.#provider.attachVolume(input, context);
      expect([volume.name, await this.#read(attachment.transport)]).toEqual([volume.name, volume.content]);
      await this.#provider.detachVolume(attachment, context);
    }
    for (const { snapshotId, name, content } of this.#family.shown()) {
      const { snapshots } = this.#provider.facets;
      const { transport } = await snapshots.attachSnapshot({ snapshotId, host: "host-b" }, context);
      expect([name, await this.#read(transport)]).toEqual([name, content]);
      await snapshots.detachSnapshot({ snapshotId, host: "host-b" }, context);
    }
  }

  close(): Promise<void> {
    return this.#provider.close();
  }

  async #create(killAfter: number | undefined): Promise<void> {
    const name = this.#nextName();
    await this.#do(killAfter, (provider) =>
      provider.createVolume({ name, capacityBytes: modelBlocks * blockBytes }, context),
    );
    const made = await this.#named(name);
    if (made !== undefined) this.#enter(made.volumeId, name, Array<number>(modelBlocks).fill(0));
  }

  async #write(volume: ModelVolume, block: number, value: number): Promise<void> {
    const wasHeld = volume.attached !== undefined;
    if (!wasHeld) await this.#hold(volume);
    if (volume.attached === undefined) return;
    const { attachment } = await this.#provider.getAttachment({ volumeId: volume.volumeId }, context);
    if (attachment === undefined) throw new Error(`'${volume.name}' must be attached`);
    const client = await this.#open(attachment.transport);
    await client.write(block * blockBytes, new Uint8Array(4096).fill(value));
    await client.flush();
    await client.close();
    volume.content = volume.content.with(block, value);
    if (!wasHeld) await this.#hold(volume);
  }

  /** Attaches it for writing, or ends that. */
  async #hold(volume: ModelVolume): Promise<void> {
    const { volumeId } = volume;
    if (volume.attached !== undefined) {
      const generation = volume.attached;
      await this.#provider.detachVolume({ volumeId, host: "host-a", generation }, context);
      volume.attached = undefined;
      return;
    }
    const generation = ++volume.generation;
    const isParent = this.#family.directChildren(volumeId).length > 0;
    const call = this.#provider.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation }, context);
    if (isParent) expect(await failureOf(call)).toMatchObject({ code: "FAILED_PRECONDITION" });
    else {
      await call;
      volume.attached = generation;
    }
  }

  async #clone(
    { volume, snapshot }: { readonly volume?: ModelVolume; readonly snapshot?: ModelSnapshot },
    want: "linked" | "full",
    killAfter: number | undefined,
  ): Promise<void> {
    const name = this.#nextName();
    const source: VolumeSource =
      volume === undefined
        ? { kind: "snapshot", snapshotId: snapshot?.snapshotId ?? "" }
        : { kind: "volume", volumeId: volume.volumeId };
    await this.#do(killAfter, (provider) => provider.facets.clones.cloneVolume({ name, source, want }, context));
    const made = await this.#named(name);
    if (made === undefined) return;
    const entered = this.#enter(made.volumeId, name, (volume ?? snapshot)?.content ?? []);
    if (want === "full") return;
    entered.parentVolumeId = volume?.volumeId ?? snapshot?.volumeId;
    entered.parentSnapshotId = snapshot?.snapshotId;
    this.#happened.linked++;
    if (volume?.attached === undefined) return;
    this.#happened.instant++;
    // It reads a hidden snapshot of that moment.
    const { parentSnapshotId: snapshotId = "" } = await this.#provider.facets.lineage.getLineage(made, context);
    entered.parentSnapshotId = snapshotId;
    const { volumeId, content } = volume;
    this.#family.snapshots.set(snapshotId, { snapshotId, name: "hidden", volumeId, content, kept: true });
  }

  async #snapshot({ volumeId, content }: ModelVolume, killAfter: number | undefined): Promise<void> {
    const name = this.#nextName();
    await this.#do(killAfter, (provider) => provider.facets.snapshots.createSnapshot({ name, volumeId }, context));
    const [made] = (await this.#provider.facets.snapshots.listSnapshots({ name }, context)).items;
    if (made === undefined) return;
    const { snapshotId } = made;
    this.#family.snapshots.set(snapshotId, { snapshotId, name, volumeId, content, kept: false });
  }

  async #delete(volume: ModelVolume, killAfter: number | undefined): Promise<void> {
    const { volumeId } = volume;
    const isHeld = volume.attached !== undefined || this.#family.snapshotsOf(volumeId).some(({ kept }) => !kept);
    const error = await this.#do(killAfter, (provider) => provider.deleteVolume({ volumeId }, context));
    if (isHeld) expect(isVdcError(error)).toBe(true);
    if ((await this.#named(volume.name)) !== undefined) return;
    expect(isHeld).toBe(false);
    volume.tombstoned = true;
    this.#family.collect();
    if (this.#family.volumes.has(volumeId)) this.#happened.tombstone++;
  }

  async #deleteSnapshot(snapshot: ModelSnapshot, killAfter: number | undefined): Promise<void> {
    const { snapshotId, name } = snapshot;
    await this.#do(killAfter, (provider) => provider.facets.snapshots.deleteSnapshot({ snapshotId }, context));
    if ((await this.#provider.facets.snapshots.listSnapshots({ name }, context)).items.length > 0) return;
    snapshot.kept = true;
    this.#family.collect();
    if (this.#family.snapshots.has(snapshotId)) this.#happened.kept++;
  }

  async #flatten(volume: ModelVolume, what: "flatten" | "promote", killAfter: number | undefined): Promise<void> {
    const { volumeId } = volume;
    if (volume.parentVolumeId !== undefined) this.#happened.flattened++;
    const error = await this.#do(killAfter, (provider) => provider.facets.lineage[what]({ volumeId }, context));
    // One that others read may be refused.
    if (error !== undefined && !isVdcError(error, "UNAVAILABLE")) {
      expect(error).toMatchObject({ code: "FAILED_PRECONDITION" });
      expect(this.#family.directChildren(volumeId)).not.toEqual([]);
    }
    await this.#followParent(volume);
    if (error === undefined) expect(volume.parentVolumeId).toBeUndefined();
  }

  async #revert(volume: ModelVolume, pick: number): Promise<void> {
    const { volumeId } = volume;
    const own = this.#family.snapshotsOf(volumeId).filter(({ kept }) => !kept);
    const snapshot = own[pick % own.length];
    if (snapshot === undefined) return;
    const isBlocked = volume.attached !== undefined || this.#family.directChildren(volumeId).length > 0;
    const { snapshots } = this.#provider.facets;
    const revert = { volumeId, snapshotId: snapshot.snapshotId };
    const call = snapshots.revertToSnapshot(revert, context);
    if (isBlocked) {
      expect(await failureOf(call)).toMatchObject({ code: "FAILED_PRECONDITION" });
      expect(await snapshots.revertBlockers(revert, context)).not.toEqual([]);
      return;
    }
    await call;
    this.#happened.reverted++;
    volume.content = snapshot.content;
    await this.#followParent(volume);
  }

  /** A volume may have lost its parent. */
  async #followParent(volume: ModelVolume): Promise<void> {
    const lineage = await this.#provider.facets.lineage.getLineage({ volumeId: volume.volumeId }, context);
    if (lineage.parentVolumeId === undefined) this.#family.detach(volume);
  }

  /** Does something; with a kill after a number of calls underneath, and a new start. */
  async #do(
    killAfter: number | undefined,
    work: (provider: StorageProvider & LinkedClonesProvider) => Promise<unknown>,
  ): Promise<unknown> {
    if (killAfter === undefined) return failureOf(work(this.#provider));
    await this.#provider.close();
    const left = { calls: Number.POSITIVE_INFINITY };
    const { base, state } = this.#handles;
    const dying = await openOn({ base: cutting(base, left), state: cutting(state, left) });
    left.calls = killAfter;
    const error = await failureOf(work(dying));
    this.#happened.kill++;
    if (left.calls <= 0) this.#happened.killed++;
    left.calls = 0;
    await dying.close();
    this.#provider = await openOn(this.#handles);
    return error;
  }

  async #named(name: string): Promise<{ readonly volumeId: string } | undefined> {
    return (await this.#provider.listVolumes({ name }, context)).items[0];
  }

  async #read(transport: VolumeTransport): Promise<readonly number[]> {
    const client = await this.#open(transport);
    const content: number[] = [];
    for (let block = 0; block < modelBlocks; block++) {
      const [first = 0] = await client.read(block * blockBytes, 4096);
      content.push(first);
    }
    await client.close();
    return content;
  }

  #enter(volumeId: string, name: string, content: readonly number[]): ModelVolume {
    const volume = {
      volumeId,
      name,
      content,
      parentVolumeId: undefined,
      parentSnapshotId: undefined,
      tombstoned: false,
      attached: undefined,
      generation: 0,
    };
    this.#family.volumes.set(volumeId, volume);
    return volume;
  }

  #nextName(): string {
    return `n-${this.#names++}`;
  }
}

/** What a call fails with. An `expect` of a promise would keep what it was called with until the test ends: here, every family of the run. */
function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function follow(provider: StorageProvider, over: Over, script: readonly Step[]): Promise<void> {
  await using handles = await handlesOn(provider, new MemoryStateStore());
  const run = new Run(handles, await openOn(handles), over);
  for (let index = 0; index < 2; index++) await run.step({ what: "create", a: 0, b: 0, killAfter: undefined });
  for (const step of script) {
    await run.step(step);
    await run.check();
  }
  await run.checkContent();
  await run.check();
  await run.close();
}

it("random families, killed at random, are what the model says: over the suite's reference", async () => {
  const happened = nothingYet();
  await fc.assert(
    fc.asyncProperty(steps(20), async (script) => {
      const pool = createMemoryPool(2 ** 33);
      const open = (transport: VolumeTransport): Promise<BlockClient> => openMemoryTransport(pool, transport);
      await follow(new MemoryStorageProvider(pool), { open, happened }, script);
    }),
    { seed: 20, numRuns: deep ? 1000 : 60 },
  );
  for (const [what, times] of Object.entries(happened)) expect([what, times > 10]).toEqual([what, true]);
}, 600_000);

it(
  "random families, killed at random, are what the model says: on a real pool",
  async () => {
    const happened = nothingYet();
    await fc.assert(
      fc.asyncProperty(steps(80), async (script) => {
        await using test = await createTestPool("here", { maxOverSubscription: 1000 });
        await follow(test.provider, { open: blockClientOf, happened }, script);
      }),
      { seed: 21, numRuns: deep ? 100 : 5 },
    );
    for (const [what, times] of Object.entries(happened)) expect([what, times > 0]).toEqual([what, true]);
  },
  deep ? 1_800_000 : 600_000,
);
