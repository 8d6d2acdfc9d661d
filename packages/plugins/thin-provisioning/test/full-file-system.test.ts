import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { NbdClient } from "@vdc-os/nbd";
import { afterAll, describe, expect, it } from "vitest";
import { hasQemu, qemuCheck } from "./qemu-tools.ts";
import { mountFileSystem } from "@vdc-os/testing";
import { connectTo, context, createTestPool, mib, type TestPool } from "./test-pool.ts";

const block = 65_536;
const systems = { tmpfs: mountFileSystem("tmpfs", 48 * mib), ext4: mountFileSystem("ext4", 48 * mib) };

afterAll(() => {
  for (const system of Object.values(systems)) system?.remove();
});

/** Takes all space but some; removing the file gives it back. */
function ballast(path: string, leaveBytes: number): void {
  const file = openSync(path, "w");
  const { bavail, bsize } = statfsSync(path);
  for (let left = bavail * bsize - leaveBytes; left > 0; left -= mib)
    writeSync(file, Buffer.alloc(Math.min(left, mib), 7));
  fsyncSync(file);
  closeSync(file);
}

/** What was answered, by block, while writes go on until they wait. */
async function writeUntilItWaits(test: TestPool, volumeId: string, client: NbdClient): Promise<ReadonlySet<number>> {
  const answered = new Set<number>();
  void (async () => {
    // As a database does: one write, one flush.
    for (let at = 0; at < 512; at++) {
      await client.write(Buffer.alloc(block, (at % 250) + 1), at * block);
      answered.add(at);
      await client.flush();
    }
  })().catch(() => {});
  const isWaiting = async (): Promise<boolean> =>
    (await test.provider.health({ volumeId }, context())).reasons?.some(({ code }) => code === "outOfSpace") === true;
  while (!(await isWaiting())) await new Promise((resolve) => setTimeout(resolve, 20));
  return new Set(answered);
}

async function mustHold(client: NbdClient, blocks: Iterable<number>): Promise<void> {
  const data = Buffer.alloc(block);
  for (const at of blocks) {
    await client.read(data, at * block);
    expect([at, data.every((byte) => byte === (at % 250) + 1)]).toEqual([at, true]);
  }
}

describe.each(Object.entries(systems))("a pool on a file system that is full: %s", (_, system) => {
  it.skipIf(system === undefined)(
    "has its writers wait, loses nothing when its storage process is killed then, and goes on when there is space",
    { timeout: 120_000 },
    async () => {
      const root = system?.directory ?? "";
      await using test = await createTestPool("process", {
        directory: join(root, "pool"),
        maxOverSubscription: 100,
      });
      const { volumeId } = await test.provider.createVolume({ name: "disk", capacityBytes: 64 * mib }, context());
      const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
      const attachment = await test.provider.attachVolume(attach, context());
      const { changedBlocks } = test.provider.facets;
      const { checkpoint } = await changedBlocks.createCheckpoint({ volumeId, name: "since" }, context());
      ballast(join(root, "ballast"), 6 * mib);
      const first = await connectTo(attachment);
      const answered = await writeUntilItWaits(test, volumeId, first);
      expect(answered.size).toBeGreaterThan(8);
      expect(answered.size).toBeLessThan(128);
      expect((await test.provider.capacity({}, context())).alarms.map(({ kind }) => kind)).toContain("outOfSpace");
      await test.hosts[0].kill();
      await test.hosts[0].restart();
      await first.close().catch(() => {});
      const second = await connectTo(attachment);
      await mustHold(second, answered);
      const next = answered.size;
      const waits = second.write(Buffer.alloc(8 * mib, 200), 32 * mib).then(() => "written");
      expect(await Promise.race([waits, second.read(Buffer.alloc(block), 0).then(() => "read")])).toBe("read");
      rmSync(join(root, "ballast"));
      expect(await waits).toBe("written");
      await second.flush();
      await mustHold(second, answered);
      const data = Buffer.alloc(mib);
      await second.read(data, 39 * mib);
      expect(data.every((byte) => byte === 200)).toBe(true);
      expect(await test.provider.health({ volumeId }, context())).toMatchObject({ condition: "healthy" });
      const changed = new Set<number>();
      for await (const { offset, length } of changedBlocks.changedExtents({ volumeId, since: checkpoint }, context())) {
        for (let at = offset / block; at < (offset + length) / block; at++) changed.add(Math.floor(at));
      }
      for (let at = 0; at < next; at++) expect(changed.has(at)).toBe(true);
      await second.close();
      await test.provider.detachVolume(attach, context());
      if (hasQemu) qemuCheck(test.pool.layout.image(volumeId));
    },
  );
});
