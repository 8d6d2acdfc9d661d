import { statSync } from "node:fs";
import type { Attachment } from "@vdc-os/core/storage/v1";
import type { NbdClient } from "@vdc-os/nbd";
import { describe, expect, it } from "vitest";
import { connectTo, context, createTestPool, mib, type TestPool } from "./test-pool.ts";

const block = 65_536;

interface Attached {
  readonly volumeId: string;
  readonly attachment: Attachment;
  readonly client: NbdClient;
}

async function attached(test: TestPool, name: string, capacityBytes = 16 * mib, host = "host-a"): Promise<Attached> {
  const { volumeId } = await test.provider.createVolume({ name, capacityBytes }, context());
  const attachment = await test.provider.attachVolume(
    { volumeId, host, access: "readWrite", generation: 1 },
    context(),
  );
  return { volumeId, attachment, client: await connectTo(attachment) };
}

async function changedSince(test: TestPool, volumeId: string, since: string): Promise<Set<number>> {
  const blocks = new Set<number>();
  for await (const { offset, length } of test.provider.facets.changedBlocks.changedExtents(
    { volumeId, since },
    context(),
  )) {
    for (let at = Math.floor(offset / block); at * block < offset + length; at++) blocks.add(at);
  }
  return blocks;
}

describe("changed blocks", () => {
  it("miss nothing when the storage process is killed under writes, however often", async () => {
    await using test = await createTestPool("process");
    const [host] = test.hosts;
    const { volumeId, attachment, client: first } = await attached(test, "disk", 64 * mib);
    await first.close();
    const { changedBlocks } = test.provider.facets;
    const written = new Map<string, Set<number>>();
    for (let round = 0; round < (process.env.VDC_DEEP ? 40 : 5); round++) {
      if (written.size < 8) {
        const { checkpoint } = await changedBlocks.createCheckpoint({ volumeId, name: `c-${round}` }, context());
        written.set(checkpoint, new Set());
      }
      const client = await connectTo(attachment);
      const enough = Promise.withResolvers<void>();
      const writing = (async () => {
        for (let step = 0; ; step++) {
          const at = (step * 37 + round * 101) % 1024;
          await client.write(Buffer.alloc(4096, round + 1), at * block + 8192);
          for (const blocks of written.values()) blocks.add(at);
          if (step === 20 + round * 7) enough.resolve();
        }
      })().catch(() => {});
      await enough.promise;
      await host.kill();
      await writing;
      await host.restart();
      for (const [checkpoint, blocks] of written) {
        const told = await changedSince(test, volumeId, checkpoint);
        expect([...blocks].filter((at) => !told.has(at))).toEqual([]);
        // Nor is more told than what was written: of what was cut off, one write a kill may have been done.
        const cutOff = [...told].filter((at) => !blocks.has(at));
        expect(cutOff.length).toBeLessThanOrEqual(round + 1);
      }
    }
    const list = await changedBlocks.listCheckpoints({ volumeId }, context());
    expect(list.every(({ intact }) => intact)).toBe(true);
  });

  it("are told once they happened, with what they are now, and independently of each other", async () => {
    await using test = await createTestPool("here");
    const { volumeId, client } = await attached(test, "disk");
    const { changedBlocks, resize, snapshots } = test.provider.facets;
    await client.write(Buffer.alloc(block, 1), 0);
    const { checkpoint: one } = await changedBlocks.createCheckpoint({ volumeId, name: "one" }, context());
    await client.write(Buffer.alloc(512, 1), 5 * block + 100 * 512);
    const { checkpoint: two } = await changedBlocks.createCheckpoint({ volumeId, name: "two" }, context());
    await snapshots.createSnapshot({ name: "between", volumeId }, context());
    await client.writeZeroes(0, block);
    await resize.resizeVolume({ volumeId, capacityBytes: 17 * mib }, context());
    const told = [];
    for await (const extent of changedBlocks.changedExtents({ volumeId, since: one }, context())) told.push(extent);
    expect(told).toEqual([
      { offset: 0, length: block, zero: true },
      { offset: 5 * block, length: block, zero: false },
      { offset: 16 * mib, length: mib, zero: true },
    ]);
    expect([...(await changedSince(test, volumeId, two))].includes(5)).toBe(false);
    await changedBlocks.deleteCheckpoint({ volumeId, checkpoint: one }, context());
    await expect(changedSince(test, volumeId, one)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await client.close();
  });
});

describe("limits", () => {
  it("hold from the moment they are set, also for what waits already, and after a kill", async () => {
    await using test = await createTestPool("process");
    const { volumeId, attachment, client } = await attached(test, "disk");
    const { qos } = test.provider.facets;
    const write = (on: NbdClient, count: number): Promise<unknown> =>
      Promise.all(Array.from({ length: count }, (_, at) => on.write(Buffer.alloc(4096, 1), at * 4096)));
    const timed = async (run: () => Promise<unknown>): Promise<number> => {
      const started = performance.now();
      await run();
      return performance.now() - started;
    };
    await qos.setQos({ volumeId, policy: { iops: 100, bytesPerSecond: 0, burstOperations: 10 } }, context());
    const limited = await timed(() => write(client, 60));
    expect(limited).toBeGreaterThan(450);
    expect(limited).toBeLessThan(5000);
    await qos.setQos({ volumeId, policy: { iops: 1, bytesPerSecond: 0, burstOperations: 1 } }, context());
    const waiting = write(client, 50);
    await qos.setQos({ volumeId, policy: { iops: 0, bytesPerSecond: 0 } }, context());
    // By the limit before they would have taken 49 s.
    expect(await timed(() => waiting)).toBeLessThan(20_000);
    const policy = { iops: 0, bytesPerSecond: mib, burstBytes: 64 * 1024 };
    await qos.setQos({ volumeId, policy }, context());
    await client.close();
    await test.hosts[0].kill();
    await test.hosts[0].restart();
    expect(await qos.getQos({ volumeId }, context())).toEqual(policy);
    const again = await connectTo(attachment);
    expect(await timed(() => write(again, 144))).toBeGreaterThan(400);
    // Whoever is cut off does not wait for its turn.
    await qos.setQos({ volumeId, policy: { iops: 1, bytesPerSecond: 0, burstOperations: 1 } }, context());
    const held = write(again, 50).catch(() => {});
    await test.provider.revokeAttachment({ volumeId, generation: 1 }, context());
    await held;
  });
});

describe("a pool that runs full", () => {
  it("lets writes that need new space wait, and nothing else, until there is some", async () => {
    await using test = await createTestPool("process", { capacityBytes: 12 * mib, maxOverSubscription: 10 });
    const filler = await attached(test, "filler");
    await filler.client.write(Buffer.alloc(4 * mib, 1), 0);
    await filler.client.close();
    await test.provider.detachVolume({ volumeId: filler.volumeId, host: "host-a", generation: 1 }, context());
    const { volumeId, client } = await attached(test, "disk");
    const settled: number[] = [];
    const writes = Array.from({ length: 160 }, (_, at) =>
      client.write(Buffer.alloc(block, (at % 250) + 1), at * block).then(() => void settled.push(at)),
    );
    const ended = Promise.allSettled(writes);
    const isWaiting = async (): Promise<boolean> =>
      (await test.provider.health({ volumeId }, context())).reasons?.some(({ code }) => code === "outOfSpace") === true;
    while (!(await isWaiting())) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await test.provider.health({ volumeId }, context())).toMatchObject({ condition: "degraded" });
    const { alarms, allocatedBytes } = await test.provider.capacity({}, context());
    expect(alarms.map(({ kind }) => kind)).toContain("outOfSpace");
    expect(allocatedBytes).toBeLessThanOrEqual(12 * mib);
    const done = settled.length;
    expect(done).toBeLessThan(160);
    expect(done).toBeGreaterThan(48);
    // What needs no new space goes on.
    const data = Buffer.alloc(block);
    await client.read(data, block);
    expect(data[0]).toBe(2);
    await client.write(Buffer.alloc(block, 251), 0);
    await client.flush();
    await test.provider.deleteVolume({ volumeId: filler.volumeId }, context());
    while (settled.length === done) await new Promise((resolve) => setTimeout(resolve, 20));
    for (const at of settled.slice(done)) {
      await client.read(data, at * block);
      expect(data.every((byte) => byte === (at % 250) + 1)).toBe(true);
    }
    // Those that still wait are cut off with their owner, and were never acknowledged.
    await test.provider.revokeAttachment({ volumeId, generation: 1 }, context());
    await ended;
    expect(statSync(test.pool.layout.image(volumeId)).blocks * 512).toBeLessThanOrEqual(12 * mib);
  });
});

describe("space that a guest gives up", () => {
  it("is given back, also that of zeroes which were written", async () => {
    await using test = await createTestPool("here");
    const { volumeId, client } = await attached(test, "disk");
    for (let at = 0; at < 12; at++) await client.write(Buffer.alloc(mib, at < 6 ? at + 1 : 0), at * mib);
    await client.flush();
    await client.trim(0, 3 * mib);
    await client.flush();
    const { reclaimedBytes } = await test.provider.facets.discard.reclaim({ volumeId }, context());
    const { allocatedBytes } = await test.provider.getVolume({ volumeId }, context());
    expect(allocatedBytes).toBeLessThan(4 * mib);
    expect(reclaimedBytes).toBeGreaterThanOrEqual(6 * mib);
    const data = Buffer.alloc(mib);
    await client.read(data, 4 * mib);
    expect(data.every((byte) => byte === 5)).toBe(true);
    await client.read(data, mib);
    expect(data.every((byte) => byte === 0)).toBe(true);
    await client.close();
  });

  it("is not taken for zeroes where the volume says so", async () => {
    await using test = await createTestPool("here");
    const parameters = { detectZeroes: "true" };
    const { volumeId } = await test.provider.createVolume(
      { name: "disk", capacityBytes: 8 * mib, parameters },
      context(),
    );
    const client = await connectTo(
      await test.provider.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation: 1 }, context()),
    );
    await client.write(Buffer.alloc(4 * mib), 0);
    await client.flush();
    expect((await test.provider.getVolume({ volumeId }, context())).allocatedBytes).toBeLessThan(mib);
    await client.close();
  });
});

describe("a storage process that is killed", () => {
  it("loses nothing that was answered: not while it is attached, and not when it is detached without it", async () => {
    await using test = await createTestPool("process");
    const { volumeId, attachment, client } = await attached(test, "disk");
    const block = (value: number): Buffer => Buffer.alloc(4096, value);
    await client.write(block(1), 0);
    await client.flush();
    await client.write(block(2), 0);
    await client.write(block(3), 4 * mib);
    await test.hosts[0].kill();
    await test.hosts[0].restart();
    const again = await connectTo(attachment);
    const data = block(0);
    await again.read(data, 4 * mib);
    expect([data[0], data[4095]]).toEqual([3, 3]);
    await again.write(block(4), 6 * mib);
    await test.hosts[0].kill();
    await test.provider.detachVolume({ volumeId, host: "host-a", generation: 1 }, context());
    const next = { volumeId, host: "host-b", access: "readOnly", generation: 2 } as const;
    const reader = await connectTo(await test.provider.attachVolume(next, context()));
    for (const [at, value] of [
      [0, 2],
      [4 * mib, 3],
      [6 * mib, 4],
    ] as const) {
      await reader.read(data, at);
      expect([data[0], data[4095]]).toEqual([value, value]);
    }
  });
});

describe("a group snapshot", () => {
  it("is of one moment across hosts: no write is in without one that was acknowledged before it began", async () => {
    await using test = await createTestPool("process");
    const [a, b] = [await attached(test, "a"), await attached(test, "b", 16 * mib, "host-b")];
    const { groupSnapshots, snapshots } = test.provider.facets;
    let running = true;
    const writing = (async () => {
      for (let turn = 1; running; turn++) {
        const data = Buffer.alloc(4096);
        data.writeUInt32LE(turn);
        await a.client.write(data, 0);
        await b.client.write(data, 0);
      }
    })();
    for (let round = 0; round < (process.env.VDC_DEEP ? 30 : 6); round++) {
      const volumeIds = [a.volumeId, b.volumeId];
      const group = await groupSnapshots.createGroupSnapshot({ name: `g-${round}`, volumeIds }, context());
      expect(group.snapshots.every((one) => one.groupSnapshotId === group.groupSnapshotId)).toBe(true);
      const turns = new Map<string, number>();
      for (const { snapshotId, volumeId } of group.snapshots) {
        const reader = await connectTo(await snapshots.attachSnapshot({ snapshotId, host: "host-a" }, context()));
        const data = Buffer.alloc(4096);
        await reader.read(data, 0);
        turns.set(volumeId, data.readUInt32LE());
        await reader.close();
        await snapshots.detachSnapshot({ snapshotId, host: "host-a" }, context());
      }
      const [first = 0, second = 0] = [turns.get(a.volumeId), turns.get(b.volumeId)];
      expect(first === second || first === second + 1, `a has turn ${first} and b ${second}`).toBe(true);
      if (round % 2 === 0)
        await groupSnapshots.deleteGroupSnapshot({ groupSnapshotId: group.groupSnapshotId }, context());
    }
    running = false;
    await writing;
    await a.client.close();
    await b.client.close();
  });

  it("is undone whole when one volume can't be reached", async () => {
    await using test = await createTestPool("process");
    const [a, b] = [await attached(test, "a"), await attached(test, "b", 16 * mib, "host-b")];
    const { groupSnapshots, snapshots } = test.provider.facets;
    await b.client.close();
    await test.hosts[1].kill();
    const volumeIds = [a.volumeId, b.volumeId];
    await expect(groupSnapshots.createGroupSnapshot({ name: "g", volumeIds }, context())).rejects.toThrow();
    // Writes go on, and nothing is to be seen.
    await a.client.write(Buffer.alloc(4096, 1), 0);
    expect((await snapshots.listSnapshots({}, context())).items).toEqual([]);
    await test.hosts[1].restart();
    const group = await groupSnapshots.createGroupSnapshot({ name: "g", volumeIds }, context());
    expect(group.snapshots.length).toBe(2);
    await groupSnapshots.deleteGroupSnapshot({ groupSnapshotId: group.groupSnapshotId }, context());
    expect((await snapshots.listSnapshots({}, context())).items).toEqual([]);
    await a.client.close();
  });
});
