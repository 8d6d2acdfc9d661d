import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestRandom } from "@vdc-os/core/testing";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import { expect, it } from "vitest";
import { ThinPool } from "../src/thin-pool.ts";
import { ThinStorageProvider } from "../src/thin-storage-provider.ts";
import { type CrashStateOptions, crashState, writeCrashState } from "./crash-state.ts";
import { FileRecorder } from "./file-recorder.ts";
import { before, killed, pretendToBe, rebooted } from "./identity.ts";
import { createTestHost, hostsOf, type TestHost } from "./test-host.ts";
import { connectTo, context } from "./test-pool.ts";

const isDeep = process.env.VDC_DEEP !== undefined;
const fastFolder = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const capacityBytes = 256 * 1024;
const block = 4096;

function openPool(folder: string, hosts: readonly TestHost[]): Promise<ThinPool> {
  // Segments so short that one ends every few entries.
  const options = { name: "fast", directory: join(folder, "pool"), maxOverSubscription: 1e6, logSegmentBytes: 1024 };
  return ThinPool.open({ ...options, hosts: hostsOf(hosts) });
}

/** What a crash after so many events must leave, by name: what each block of 4 KiB is filled with, for those that were written. */
interface Promises {
  readonly events: number;
  readonly there: ReadonlyMap<string, readonly number[]>;
  /** The folders of those that were written. */
  readonly used: ReadonlyMap<string, string>;
  /** Those that may be there or not. */
  readonly perhaps: ReadonlySet<string>;
}

/** Makes, uses and deletes volumes, many of which nobody ever uses. */
async function live(folder: string, recorder: FileRecorder): Promise<readonly Promises[]> {
  const host = createTestHost("host-a", join(folder, "a"), "here");
  const ids = new Map<string, string>();
  const there = new Map<string, readonly number[]>();
  const used = new Map<string, string>();
  const perhaps = new Set<string>();
  const promises: Promises[] = [];
  const note = (): void => {
    promises.push({
      events: recorder.events.length,
      there: new Map(there),
      used: new Map(used),
      perhaps: new Set(perhaps),
    });
  };
  note();
  let pool = await openPool(folder, [host]);
  let provider = new ThinStorageProvider(pool);
  const make = async (name: string, parent?: string): Promise<void> => {
    perhaps.add(name);
    note();
    const { volumeId } =
      parent === undefined
        ? await provider.createVolume({ name, capacityBytes }, context())
        : await provider.facets.layering.createOverlay(
            { name, parent: { kind: "volume", volumeId: ids.get(parent) ?? "" } },
            context(),
          );
    ids.set(name, volumeId);
    there.set(name, there.get(parent ?? "") ?? []);
    perhaps.delete(name);
    note();
  };
  const remove = async (name: string): Promise<void> => {
    perhaps.add(name);
    note();
    await provider.deleteVolume({ volumeId: ids.get(name) ?? "" }, context());
    perhaps.delete(name);
    there.delete(name);
    used.delete(name);
    note();
  };
  let generation = 0;
  const write = async (name: string, value: number): Promise<void> => {
    const attach = {
      volumeId: ids.get(name) ?? "",
      host: "host-a",
      access: "readWrite",
      generation: ++generation,
    } as const;
    const client = await connectTo(await provider.attachVolume(attach, context()));
    const blocks = there.get(name) ?? [];
    // Until it is flushed, it may hold either: block 0 is not looked at before.
    there.set(name, blocks.length === 0 ? [] : [-1, ...blocks.slice(1)]);
    note();
    await client.write(Buffer.alloc(block, value), blocks.length * block);
    await client.flush();
    there.set(name, [...blocks, value]);
    used.set(name, attach.volumeId);
    note();
    await client.close();
    await provider.detachVolume(attach, context());
  };
  const reopen = async (): Promise<void> => {
    pool.close();
    pool = await openPool(folder, [host]);
    provider = new ThinStorageProvider(pool);
  };

  await make("golden");
  await write("golden", 1);
  await make("base", "golden");
  await Promise.all([1, 2, 3, 4].map((index) => make(`a-${index}`, "base")));
  await pool.catalog.filesMade();
  await remove("a-1");
  await Promise.all([make("b-1", "a-2"), remove("a-3"), make("b-2", "a-4"), make("c")]);
  // A use of the last of a chain of volumes that nobody has used.
  await write("b-1", 2);
  await reopen();
  await Promise.all([remove("c"), make("d", "b-2"), make("e")]);
  for (let index = 1; index <= 12; index++) {
    await make(`f-${index}`, "base");
    if (index === 4 || index === 8) await pool.catalog.filesMade();
    if (index % 4 !== 1) await remove(`f-${index}`);
  }
  await pool.catalog.filesMade();
  await Promise.all([write("d", 3), make("c", "base"), remove("f-1")]);
  await remove("b-1");
  await remove("d");
  await reopen();
  await make("g", "b-2");
  await write("b-2", 4).catch((error) => expect(error).toMatchObject({ code: "FAILED_PRECONDITION" }));
  await write("g", 5);
  pool.close();
  await host.stop();
  note();
  return promises;
}

/** Looks at what a crash left before the pool is opened: a host's storage process may serve again what it served. */
async function verifyUsed(folder: string, { there, used, perhaps }: Promises): Promise<void> {
  const volumes = join(folder, "pool", "volumes");
  for (const [name, volumeId] of used) {
    if (perhaps.has(name)) continue;
    const options = { readOnly: true, lock: false, resolveBacking: backingFolder(volumes) };
    await using image = await Qcow2Image.open(join(volumes, volumeId, "disk.qcow2"), options);
    await expectBlocks(image, name, there.get(name) ?? []);
  }
}

async function expectBlocks(image: Qcow2Image, name: string, blocks: readonly number[]): Promise<void> {
  const data = Buffer.alloc(capacityBytes);
  await image.read(data, 0);
  for (const [index, value] of blocks.entries()) {
    if (value >= 0) expect(data[index * block], `block ${index} of '${name}'`).toBe(value);
  }
}

/** Opens what a crash left and holds it against what was promised. */
async function verify(folder: string, { there, perhaps }: Promises, more: readonly string[] = []): Promise<ThinPool> {
  const pool = await openPool(folder, []);
  try {
    const { catalog, layout } = pool;
    expect(catalog.damaged).toEqual([]);
    const found = new Map([...catalog.entries].map(({ record }) => [record.name, record]));
    for (const name of there.keys()) if (!perhaps.has(name)) expect(found.has(name), `'${name}' is gone`).toBe(true);
    for (const name of found.keys())
      expect(there.has(name) || perhaps.has(name) || more.includes(name), `'${name}' came from nowhere`).toBe(true);
    await catalog.filesMade();
    expect(readdirSync(layout.trash)).toEqual([]);
    expect(readdirSync(layout.volumes).sort()).toEqual([...found.values()].map(({ volumeId }) => volumeId).sort());
    expect(readdirSync(layout.log).length).toBeLessThanOrEqual(1);
    for (const [name, { volumeId, parentVolumeId }] of found) {
      const files = readdirSync(layout.volume(volumeId)).filter((file) => !file.startsWith("."));
      expect(files.sort()).toEqual(["disk.qcow2", "volume.json"]);
      const options = { readOnly: true, lock: false, resolveBacking: backingFolder(layout.volumes) };
      await using image = await Qcow2Image.open(layout.image(volumeId), options);
      expect((await image.check()).corruptions).toBe(0);
      expect(image.backing === undefined).toBe(parentVolumeId === undefined);
      await expectBlocks(image, name, there.get(name) ?? []);
    }
    return pool;
  } catch (error) {
    pool.close();
    throw error;
  }
}

it("has what was promised after a crash anywhere in its log, and in what is done with it", {
  timeout: isDeep ? 3_600_000 : 600_000,
}, async () => {
  const folder = mkdtempSync(join(fastFolder, "vdc-log-crash-"));
  const tried = { kills: 0, losses: 0, again: 0, segments: 0 };
  try {
    const root = join(folder, "pool");
    mkdirSync(root);
    const recorder = new FileRecorder(root);
    let promises: readonly Promises[];
    {
      using _recording = recorder;
      using _identity = pretendToBe(before);
      promises = await live(folder, recorder);
    }
    const { events } = recorder;
    tried.segments = events.filter((event) => event.kind === "rename" && /^\d+$/.test(event.name)).length;
    expect(tried.segments).toBeGreaterThan(5);
    const at = (count: number): Promises => {
      const promise = promises.findLast((one) => one.events <= count);
      if (promise === undefined) throw new Error("nothing was noted");
      return promise;
    };
    const random = createTestRandom(11);
    const place = join(folder, "crashed");
    const attempt = async (count: number, chance: CrashStateOptions["chance"], again: boolean): Promise<void> => {
      const state = crashState(events, {
        count,
        isFolder: (node) => recorder.folders.has(node),
        ...(chance && { chance }),
      });
      const promise = at(count);
      rmSync(place, { recursive: true, force: true });
      writeCrashState(state, join(place, "pool"));
      try {
        if (!again) {
          using _identity = pretendToBe(chance ? rebooted : killed);
          await verifyUsed(place, promise);
          (await verify(place, promise)).close();
          return;
        }
        // What comes after the crash crashes as well.
        const second = new FileRecorder(join(place, "pool"));
        const start = second.events.length;
        let acknowledged = 0;
        {
          using _recording = second;
          using _identity = pretendToBe({ bootId: "the-boot-between", startTime: "3" });
          const pool = await verify(place, promise);
          const name = "afterwards";
          await new ThinStorageProvider(pool).createVolume({ name, capacityBytes }, context());
          acknowledged = second.events.length;
          pool.close();
        }
        const isFolder = (node: number): boolean => second.folders.has(node);
        for (let round = 0; round < (isDeep ? 4 : 2); round++) {
          const end = start + Math.ceil(random.next() * (second.events.length - start));
          const loss = random.next() < 0.5 ? { chance: () => random.next() } : {};
          rmSync(place, { recursive: true, force: true });
          writeCrashState(crashState(second.events, { count: end, isFolder, ...loss }), join(place, "pool"));
          using _identity = pretendToBe(rebooted);
          const pool = await verify(place, promise, ["afterwards"]);
          if (end >= acknowledged) expect(pool.catalog.findByName("afterwards")).toBeDefined();
          pool.close();
          tried.again++;
        }
      } catch (cause) {
        const last = events
          .slice(Math.max(0, count - 3), count + 1)
          .map((event) => JSON.stringify(event).slice(0, 120));
        const what = chance ? "power loss" : "kill";
        throw new Error(`${what} after ${count} of ${events.length} events (${last.join("; ")}): ${String(cause)}`, {
          cause,
        });
      }
    };
    const stride = isDeep ? 1 : 6;
    for (let count = 1; count <= events.length; count++) {
      if (events[count - 1]?.kind === "sync") continue;
      if (count % stride === 0) {
        await attempt(count, undefined, count % 7 === 0);
        tried.kills++;
      }
      if (count % stride !== Math.floor(stride / 2)) continue;
      for (let round = 0; round < (isDeep ? 4 : 1); round++) {
        await attempt(count, () => random.next(), count % 5 === round);
        tried.losses++;
      }
    }
    console.log(
      `crash states of a pool's log tried: ${tried.kills + tried.losses} of ${events.length} events and ${tried.segments} segments (${tried.kills} kills, ${tried.losses} power losses with reorderings and torn writes), and ${tried.again} crashes of the openings after them; all had the volumes that were acknowledged, whole, and no others`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
