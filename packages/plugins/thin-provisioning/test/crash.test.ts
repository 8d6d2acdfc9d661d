import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { isVdcError } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import type { NbdClient } from "@vdc-os/nbd";
import { backingFolder, check, Qcow2Image, repair } from "@vdc-os/qcow2";
import { expect, it } from "vitest";
import { layersBelow } from "../src/no-backing.ts";
import { ThinPool } from "../src/thin-pool.ts";
import { ThinStorageProvider } from "../src/thin-storage-provider.ts";
import { type CrashStateOptions, crashState, writeCrashState } from "./crash-state.ts";
import { CrashWorld, differingUnits, type Moment, mismatch } from "./crash-world.ts";
import { FileRecorder } from "./file-recorder.ts";
import { before, type Identity, killed, pretendToBe, rebooted } from "./identity.ts";
import { ModelDisk, unitBytes } from "./model-disk.ts";
import { createTestHost, hostsOf } from "./test-host.ts";
import { connectTo, context } from "./test-pool.ts";
import { createTestSecrets, keys } from "./test-secrets.ts";

const units = 16;
const isDeep = process.env.VDC_DEEP !== undefined;
const timeoutMs = isDeep ? 3_600_000 : 300_000;
/** Nothing here has to last, and every state is written and read once. */
const fastFolder = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

async function open(folder: string, encrypted: boolean) {
  const host = createTestHost("host-a", join(folder, "a"), "here");
  const directory = join(folder, "pool");
  const pool = await ThinPool.open({
    name: "fast",
    directory,
    hosts: hostsOf([host]),
    maxOverSubscription: 1000,
    ...(encrypted ? { secrets: createTestSecrets(), keyRef: "key-1" } : {}),
  });
  return {
    host,
    pool,
    provider: new ThinStorageProvider(pool),
    async [Symbol.asyncDispose]() {
      pool.close();
      await host.stop();
    },
  };
}

/** Does everything with a pool's layers once, while it is written. */
async function live(folder: string, recorder: FileRecorder, encrypted: boolean): Promise<CrashWorld> {
  const world = new CrashWorld(units, () => recorder.events.length);
  await using opened = await open(folder, encrypted);
  const { provider } = opened;
  const rotate = async (volumeId: string, keyRef: string): Promise<void> => {
    const began = recorder.events.length;
    await provider.facets.encryption?.rotateKey({ volumeId, keyRef }, context());
    if (encrypted) world.keyChanges.push([began, recorder.events.length]);
  };
  const { snapshots, layering, groupSnapshots, changedBlocks } = provider.facets;
  let stamp = 0;
  let generation = 0;

  const create = async (name: string): Promise<string> => {
    const parameters = { clusterBytes: "16384" };
    const { volumeId } = await provider.createVolume({ name, capacityBytes: units * unitBytes, parameters }, context());
    world.volumes.set(volumeId, [new ModelDisk(units)]);
    world.note();
    return volumeId;
  };
  const attach = async (volumeId: string): Promise<{ client: NbdClient; detach: () => Promise<void> }> => {
    const owner = { volumeId, host: "host-a", access: "readWrite", generation: ++generation } as const;
    const client = await connectTo(await provider.attachVolume(owner, context()));
    const detach = async (): Promise<void> => {
      await client.close();
      await provider.detachVolume(owner, context());
      world.disk(volumeId).flush();
      world.note();
    };
    return { client, detach };
  };
  const write = async (volumeId: string, client: NbdClient, ...at: readonly number[]): Promise<void> => {
    for (const unit of at) {
      stamp = (stamp % 250) + 1;
      world.disk(volumeId).write(unit, stamp);
      world.note();
      await client.write(Buffer.alloc(unitBytes, stamp), unit * unitBytes);
    }
  };
  const flush = async (volumeId: string, client: NbdClient): Promise<void> => {
    await client.flush();
    world.disk(volumeId).flush();
    world.note();
  };
  /** A write is on its way while something else is done; what it was before the write is possible too. */
  const whileWriting = async <T>(volumeId: string, client: NbdClient, work: () => Promise<T>): Promise<T> => {
    const writing = write(volumeId, client, 3, 4);
    const result = await work();
    await writing;
    world.note();
    return result;
  };
  const snapshot = async (name: string, volumeId: string): Promise<string> => {
    const { snapshotId } = await snapshots.createSnapshot({ name, volumeId }, context());
    return snapshotId;
  };
  /** What was taken holds what the disk may hold from here on; a snapshot flushes. */
  const taken = (snapshotId: string, volumeId: string, before: ModelDisk | undefined): void => {
    const disk = world.disk(volumeId);
    if (before === undefined) disk.flush();
    world.snapshots.set(snapshotId, [disk.copy()]);
    world.note();
  };
  const removeSnapshot = async (snapshotId: string): Promise<void> => {
    world.snapshots.set(snapshotId, [...(world.snapshots.get(snapshotId) ?? []), undefined]);
    world.note();
    await snapshots.deleteSnapshot({ snapshotId }, context());
    world.snapshots.delete(snapshotId);
    world.note();
  };
  const checkpoint = async (name: string, volumeId: string): Promise<void> => {
    const made = await changedBlocks.createCheckpoint({ volumeId, name }, context());
    world.checkpoints.set(made.checkpoint, { volumeId, disk: world.disk(volumeId).copy(), mayBeBroken: false });
    world.note();
  };

  const first = await create("first");
  const one = await attach(first);
  await write(first, one.client, 0, 1, 2);
  await flush(first, one.client);
  await checkpoint("c1", first);
  await write(first, one.client, 1, 5);

  const lower = await whileWriting(first, one.client, () => snapshot("lower", first));
  taken(lower, first, world.disk(first));
  await flush(first, one.client);
  await write(first, one.client, 2, 6, 7);
  const upper = await snapshot("upper", first);
  taken(upper, first, undefined);
  await write(first, one.client, 0, 8);
  await checkpoint("c2", first);

  // An overlay of a snapshot, written itself.
  const parent = { kind: "snapshot", snapshotId: upper } as const;
  const { volumeId: clone } = await layering.createOverlay({ name: "clone", parent }, context());
  world.volumes.set(
    clone,
    (world.snapshots.get(upper) ?? []).map((disk) => disk?.copy()),
  );
  world.note();
  const two = await attach(clone);
  await whileWriting(first, one.client, () => rotate(first, "key-2"));
  await write(clone, two.client, 1, 9);
  await flush(clone, two.client);
  await write(clone, two.client, 10);

  // A merge into a layer, and one into the image that is written.
  await whileWriting(first, one.client, () => removeSnapshot(lower));
  await flush(first, one.client);
  await layering.copyUp({ volumeId: clone }, context());
  await two.detach();
  await whileWriting(first, one.client, () => removeSnapshot(upper));
  await flush(first, one.client);

  const group = await groupSnapshots.createGroupSnapshot({ name: "both", volumeIds: [first, clone] }, context());
  for (const { snapshotId, volumeId } of group.snapshots) taken(snapshotId, volumeId, undefined);
  await write(first, one.client, 11, 12, 0);
  await one.detach();

  // A revert.
  const member = group.snapshots.find(({ volumeId }) => volumeId === first)?.snapshotId ?? "";
  const target = world.snapshot(member).copy();
  world.volumes.set(first, [world.disk(first), target]);
  for (const [id, model] of world.checkpoints) world.checkpoints.set(id, { ...model, mayBeBroken: true });
  world.note();
  await snapshots.revertToSnapshot({ volumeId: first, snapshotId: member }, context());
  await rotate(first, "key-1");
  world.volumes.set(first, [target]);
  world.note();
  const three = await attach(first);
  await write(first, three.client, 13, 1);
  await flush(first, three.client);
  await three.detach();

  for (const { snapshotId } of group.snapshots) {
    world.snapshots.set(snapshotId, [...(world.snapshots.get(snapshotId) ?? []), undefined]);
  }
  world.note();
  await groupSnapshots.deleteGroupSnapshot({ groupSnapshotId: group.groupSnapshotId }, context());
  for (const { snapshotId } of group.snapshots) world.snapshots.delete(snapshotId);
  world.volumes.set(clone, [world.disk(clone), undefined]);
  world.note();
  await provider.deleteVolume({ volumeId: clone }, context());
  world.volumes.delete(clone);
  world.note();
  return world;
}

/** Opens what a crash left, and holds it against what must be there. Returns how many images have clusters that nothing refers to. */
async function verify(folder: string, moment: Moment, encrypted: boolean): Promise<number> {
  await using opened = await open(folder, encrypted);
  const { pool, provider } = opened;
  const { layout, catalog } = pool;
  expect(catalog.damaged).toEqual([]);
  const present = new Map([...catalog.entries].map((entry) => [entry.volumeId, entry]));
  for (const [volumeId, disks] of moment.volumes) {
    if (!disks.includes(undefined)) expect(present.has(volumeId), `volume '${volumeId}'`).toBe(true);
  }
  for (const [volumeId, { record }] of present) {
    const generation = record.highWater + 1;
    const owner = { volumeId, host: "host-a", access: "readWrite", generation } as const;
    // A volume whose making was not acknowledged may be there, and is empty.
    const disks = moment.volumes.get(volumeId) ?? [undefined];
    const client = await connectTo(await untilFree(() => provider.attachVolume(owner, context())));
    const data = Buffer.alloc(units * unitBytes);
    await client.read(data, 0);
    if (moment.volumes.has(volumeId)) expect(mismatch(data, disks), `volume '${record.name}'`).toBeUndefined();
    for (const [since, model] of moment.checkpoints) {
      if (model.volumeId === volumeId) await verifyCheckpoint({ provider, since, model, data });
    }
    await client.close();
    await provider.detachVolume(owner, context());
  }
  const found = new Map(
    (await provider.facets.snapshots.listSnapshots({}, context())).items.map((one) => [one.snapshotId, one]),
  );
  for (const [snapshotId, disks] of moment.snapshots) {
    const there = found.get(snapshotId);
    if (there === undefined) {
      expect(disks, `snapshot '${snapshotId}' is gone`).toContain(undefined);
      continue;
    }
    const reading = { snapshotId, host: "host-a" };
    const client = await connectTo(await provider.facets.snapshots.attachSnapshot(reading, context()));
    const data = Buffer.alloc(units * unitBytes);
    await client.read(data, 0);
    await client.close();
    await provider.facets.snapshots.detachSnapshot(reading, context());
    expect(mismatch(data, disks), `snapshot '${there.name}'`).toBeUndefined();
  }
  for (const entry of present.values()) {
    if (encrypted) await untilFree(() => pool.rotation.resume(entry, context()));
  }
  const leaking = await verifyFiles(pool);
  expect(readdirSync(layout.trash)).toEqual([]);
  expect(readdirSync(layout.volumes).sort()).toEqual([...present.keys()].sort());
  return leaking;
}

/** A change of keys that was cut short is being finished meanwhile. */
async function untilFree<T>(run: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!isVdcError(error, "ABORTED")) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

interface CheckpointCheck {
  readonly provider: ThinStorageProvider;
  readonly since: string;
  readonly model: { readonly volumeId: string; readonly disk: ModelDisk; readonly mayBeBroken: boolean };
  readonly data: Buffer;
}

async function verifyCheckpoint({ provider, since, model, data }: CheckpointCheck): Promise<void> {
  const told = new Set<number>();
  try {
    const { volumeId } = model;
    for await (const { offset, length } of provider.facets.changedBlocks.changedExtents(
      { volumeId, since },
      context(),
    )) {
      for (let unit = Math.floor(offset / unitBytes); unit * unitBytes < offset + length; unit++) told.add(unit);
    }
  } catch (error) {
    if (model.mayBeBroken && isVdcError(error, "FAILED_PRECONDITION")) return;
    throw error;
  }
  expect(
    differingUnits(data, model.disk).filter((unit) => !told.has(unit)),
    "changes that a checkpoint missed",
  ).toEqual([]);
}

/** Every file is one that the record knows, and sound. Returns how many of the images that are written have leaked clusters. */
async function verifyFiles({ catalog, layout }: ThinPool): Promise<number> {
  let leaking = 0;
  for (const { volumeId, record } of catalog.entries) {
    expect([record.pending, record.changing, record.encryption?.nextKey]).toEqual([undefined, undefined, undefined]);
    const layers = (record.snapshots ?? []).map(({ snapshotId }) => `${snapshotId}.qcow2`);
    const bitmaps = (record.checkpoints ?? []).map(({ checkpoint }) => `${checkpoint}.changes`);
    const known = ["disk.qcow2", "volume.json", ...layers, ...bitmaps];
    expect(readdirSync(layout.volume(volumeId)).sort()).toEqual(known.sort());
    for (const name of ["disk.qcow2", ...layers]) {
      const path = join(layout.volume(volumeId), name);
      // Each image has its volume's key, and no other one opens it.
      const passphrase = (path: string): Buffer | undefined => {
        const key = catalog.find(basename(dirname(path)))?.record.encryption?.key.keyRef;
        return key === undefined ? undefined : Buffer.from(keys[key as keyof typeof keys]);
      };
      // An encrypted one takes long to open, and what is below it is looked at by itself.
      const resolveBacking = record.encryption === undefined ? backingFolder(layout.volumes) : layersBelow(0);
      const options = { readOnly: true, lock: false, resolveBacking, passphrase };
      await using image = await Qcow2Image.open(path, options);
      const { corruptions, leaks } = await image.check();
      expect({ name, corruptions }).toEqual({ name, corruptions: 0 });
      // A layer is never written again, so what a crash leaked in it stays until it is merged.
      if (name === "disk.qcow2" && leaks > 0) {
        leaking++;
        const path = join(layout.volume(volumeId), name);
        await repair(path, { what: "leaks" });
        expect(await check(path)).toMatchObject({ leaks: 0, corruptions: 0 });
      }
    }
  }
  return leaking;
}

/** The files below a folder, with their sizes. */
function sizesIn(folder: string): readonly string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => `${relative(folder, path)} ${statSync(path).isFile() ? statSync(path).size : "folder"}`)
    .sort();
}

/** Records all that happens to the files of a pool, and tries what crashes leave of it. */
async function tryCrashes(encrypted: boolean): Promise<void> {
  const folder = mkdtempSync(join(fastFolder, "vdc-crash-"));
  const tried = { kills: 0, losses: 0, leaking: 0 };
  try {
    const root = join(folder, "pool");
    mkdirSync(root);
    const recorder = new FileRecorder(root);
    let world: CrashWorld;
    {
      using _recording = recorder;
      using _identity = pretendToBe(before);
      world = await live(folder, recorder, encrypted);
    }
    const { events } = recorder;
    // Nothing went past the recorder: what it says is there is there.
    const isFolder = (node: number): boolean => recorder.folders.has(node);
    const recorded = join(folder, "recorded");
    writeCrashState(crashState(events, { count: events.length, isFolder }), recorded);
    expect(sizesIn(recorded)).toEqual(sizesIn(root));
    const random = createTestRandom(5);
    const attempt = async (options: Pick<CrashStateOptions, "count" | "chance">, identity: Identity): Promise<void> => {
      const place = join(folder, "crashed");
      const state = crashState(events, { ...options, isFolder });
      writeCrashState(state, join(place, "pool"));
      try {
        using _identity = pretendToBe(identity);
        const leaking = await verify(place, world.at(options.count), encrypted);
        // The claim beside an image, by which its next writer learns of the crash, is not synced: a power loss may take it along.
        if (options.chance === undefined) expect(leaking).toBe(0);
        else tried.leaking += leaking;
      } catch (cause) {
        const last = events.slice(Math.max(0, options.count - 3), options.count + 1).map((event) => event.kind);
        const what = options.chance === undefined ? "kill" : "power loss";
        throw new Error(`${what} after ${options.count} of ${events.length} events (${last}): ${String(cause)}`, {
          cause,
        });
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    };
    // A state of encrypted images takes long to open, so that most of those that are tried are of the changes of keys.
    const strideAt = (count: number): number => {
      if (isDeep || !encrypted) return isDeep ? 1 : 4;
      return world.keyChanges.some(([began, ended]) => count > began && count <= ended) ? 10 : 64;
    };
    for (let count = 1; count <= events.length; count++) {
      if (events[count - 1]?.kind === "sync") continue;
      const stride = strideAt(count);
      if (count % stride === 0) {
        await attempt({ count }, killed);
        tried.kills++;
      }
      if (count % stride !== Math.floor(stride / 2)) continue;
      for (let round = 0; round < (isDeep ? 3 : 1); round++) {
        await attempt({ count, chance: () => random.next() }, rebooted);
        tried.losses++;
      }
    }
    console.log(
      `crash states of a pool${encrypted ? " that is encrypted and changes its keys" : ""} tried: ${tried.kills + tried.losses} of ${events.length} events in several files (${tried.kills} kills, ${tried.losses} power losses with reorderings and torn writes), all opened with flushed data, snapshots and checkpoints intact and no file left over; no kill leaked a cluster, ${tried.leaking} images did after a power loss, and were repaired`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

it(
  "is whole after a crash between any two changes of its files, with what was not synced lost or torn",
  {
    timeout: timeoutMs,
  },
  () => tryCrashes(false),
);

it("is as whole when it is encrypted, also while keys are changed", { timeout: timeoutMs }, () => tryCrashes(true));
