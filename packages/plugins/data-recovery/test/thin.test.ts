import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BackupDisk, RecoveryPoint } from "@vdc-os/core/backup/v1";
import { Kernel } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { createTestRandom } from "@vdc-os/core/testing";
import type { NbdClient } from "@vdc-os/nbd";
import { connectTo, createTestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { expect, it } from "vitest";
import { openDataRecovery } from "../src/open-data-recovery.ts";
import { openBlockDevice, type OpenDevice } from "../src/source/block-device.ts";
import { context, mib } from "./test-recovery.ts";

const diskBytes = 32 * mib;

async function readAll(client: NbdClient): Promise<Buffer> {
  const content = Buffer.alloc(client.sizeBytes);
  await client.read(content, 0);
  return content;
}

/** Writes into two disks until it is stopped: a count that the second has only after the first, and noise, zeroes and trims elsewhere. */
function startWriter(clients: readonly NbdClient[]): { readonly stop: () => Promise<number> } {
  const random = createTestRandom(41);
  let stopped = false;
  let count = 0;
  const done = (async () => {
    while (!stopped) {
      count++;
      const stamp = Buffer.alloc(4096);
      stamp.writeUInt32LE(count, 0);
      for (const client of clients) await client.write(stamp, 0);
      for (const client of clients) {
        const at = mib + Math.floor(random.next() * 512) * 4096;
        const what = random.next();
        if (what < 0.2 && client.canTrim) await client.trim(at, 16_384);
        else if (what < 0.3) await client.writeZeroes(at, 65_536);
        else await client.write(Buffer.alloc(8192, Math.floor(random.next() * 255) + 1), at);
      }
      if (count % 16 === 0) await clients[0]?.flush();
    }
  })();
  return {
    async stop() {
      stopped = true;
      await done;
      return count;
    },
  };
}

it("backs up two thin volumes under writes over NBD, and restores every point as its snapshot was", async () => {
  await using pool = await createTestPool("process");
  const folder = mkdtempSync(join(tmpdir(), "vdc-recovery-"));
  const kernel = new Kernel();
  kernel.provide(storageProvider, "thin", pool.provider);
  await kernel.start();
  const held: Buffer[] = [];
  // What a snapshot holds is read once more, over a connection of its own, before it is backed up.
  const openDevice: OpenDevice = async (transport, options) => {
    if (!options.writable) {
      const client = await connectTo({ transport });
      held.push(await readAll(client));
      await client.close();
    }
    return openBlockDevice(transport, options);
  };
  const storage = kernel.all(storageProvider);
  const opened = await openDataRecovery({ directory: join(folder, "repository"), host: "host-b", storage, openDevice });
  const { provider } = opened;
  const clients: NbdClient[] = [];
  try {
    const thin = kernel.get(storageProvider, "thin");
    const disks: BackupDisk[] = [];
    for (const name of ["a", "b"]) {
      const { volumeId } = await thin.createVolume({ name, capacityBytes: diskBytes });
      const attachment = await thin.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation: 1 });
      const client = await connectTo(attachment);
      await client.write(Buffer.alloc(4 * mib, `${name} begins with this. `), 8 * mib);
      clients.push(client);
      disks.push({ diskId: name, storage: "thin", volumeId });
    }
    const points: RecoveryPoint[] = [];
    const expected: Buffer[][] = [];
    const writer = startWriter(clients);
    try {
      for (let n = 0; n < 4; n++) {
        held.length = 0;
        points.push(await provider.createRecoveryPoint({ name: `p${n}`, subject: "vm", disks }, context()));
        expected.push([...held]);
      }
    } finally {
      expect(await writer.stop()).toBeGreaterThan(20);
    }
    expect(points.map(({ consistency }) => consistency)).toEqual(["group", "group", "group", "group"]);
    expect(points.map(({ disks: [a, b] }) => [a?.reading, b?.reading])).toEqual([
      ["full", "full"],
      ["changed", "changed"],
      ["changed", "changed"],
      ["changed", "changed"],
    ]);
    for (const point of points.slice(1)) for (const disk of point.disks) expect(disk.readBytes).toBeLessThan(4 * mib);
    const restore = async (point: RecoveryPoint, n: number): Promise<readonly Buffer[]> => {
      const targets = disks.map(({ diskId }) => ({
        diskId,
        target: { kind: "new", storage: "thin", name: `r${n}-${diskId}` } as const,
      }));
      const { disks: restored } = await provider.restore(
        { recoveryPointId: point.recoveryPointId, disks: targets },
        context(),
      );
      const contents: Buffer[] = [];
      for (const { volumeId, generation } of restored) {
        const owner = { volumeId, host: "host-a", generation: generation + 1 };
        const client = await connectTo(await thin.attachVolume({ ...owner, access: "readOnly" }));
        contents.push(await readAll(client));
        await client.close();
        await thin.detachVolume(owner);
      }
      return contents;
    };
    for (const [n, point] of points.entries()) {
      const [a, b] = await restore(point, n);
      expect(a?.equals(expected[n]?.[0] as Buffer), `disk a of point ${n}`).toBe(true);
      expect(b?.equals(expected[n]?.[1] as Buffer), `disk b of point ${n}`).toBe(true);
      const [countA = 0, countB = 0] = [a?.readUInt32LE(0), b?.readUInt32LE(0)];
      expect([countA, countA - 1]).toContain(countB);
    }
    const snapshots = await thin.facet("snapshots");
    if (!snapshots.available) throw new Error(snapshots.reason);
    expect((await snapshots.operations.listSnapshots({})).items).toEqual([]);
    expect((await provider.verify({}, context())).damages).toEqual([]);
    const pruned = await provider.prune({ keep: { last: 1 } }, context());
    expect(pruned.removed).toHaveLength(3);
    expect((await provider.verify({}, context())).damages).toEqual([]);
    const [a] = await restore(points[3] as RecoveryPoint, 9);
    expect(a?.equals(expected[3]?.[0] as Buffer)).toBe(true);
  } finally {
    for (const client of clients) await client.close();
    await opened.close();
    await kernel.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
