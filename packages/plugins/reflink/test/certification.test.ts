import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, silentLogger } from "@vdc-os/core";
import { type StorageInstance, storageSuite } from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { afterAll, describe, expect, test } from "vitest";
import { ReflinkPool } from "../src/reflink-pool.ts";
import { ReflinkStorageProvider } from "../src/reflink-storage-provider.ts";
import { mountFileSystem, openFile } from "@vdc-os/testing";

const mib = 1024 * 1024;

async function instanceIn(parent: string): Promise<StorageInstance> {
  const folder = mkdtempSync(join(parent, "pool-"));
  const open = (): Promise<ReflinkPool> =>
    ReflinkPool.open({ name: "files", directory: join(folder, "pool"), maxOverSubscription: 1000 }, silentLogger);
  let pool = await open();
  return {
    implementation: new ReflinkStorageProvider(pool),
    hosts: ["host-a", "host-b"],
    openTransport: openFile,
    async reopen() {
      await pool.close();
      pool = await open();
      return new ReflinkStorageProvider(pool);
    },
    imagePath: (name) => join(folder, name),
    hostileImages: [
      { path: "/dev/zero", format: "raw" },
      { path: folder, format: "raw" },
      { path: join(folder, "absent"), format: "qcow2" },
    ],
    async dispose() {
      await pool.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const xfs = mountFileSystem("xfs", 320 * mib);
const btrfs = mountFileSystem("btrfs", 1024 * mib);
afterAll(() => {
  xfs?.remove();
  btrfs?.remove();
});

describe.skipIf(xfs === undefined)("on XFS", () => {
  describeSuite(storageSuite, { create: () => instanceIn(xfs?.directory ?? "") });
});

describe.skipIf(btrfs === undefined)("on btrfs", () => {
  test("a clone and a snapshot share their blocks, and keep what they had", async () => {
    const instance = await instanceIn(btrfs?.directory ?? "");
    const { implementation: provider } = instance;
    const context = createOperationContext();
    const { volumeId } = await provider.createVolume({ name: "base", capacityBytes: 64 * mib }, context);
    const attachment = await provider.attachVolume(
      { volumeId, host: "host-a", access: "readWrite", generation: 1 },
      context,
    );
    const client = await openFile(attachment.transport);
    for (let at = 0; at < 64; at++) await client.write(at * mib, new Uint8Array(mib).fill(1 + at));
    await client.flush();
    const facets = provider.facets ?? {};
    const snapshot = await facets.snapshots?.createSnapshot({ name: "moment", volumeId }, context);
    const source = { kind: "volume", volumeId } as const;
    // Seven copies of it would not fit.
    for (let index = 0; index < 8; index++) {
      const clone = await facets.clones?.cloneVolume({ name: `clone-${index}`, source, want: "linked" }, context);
      expect(clone).toMatchObject({ kind: "reflink", depth: 1 });
    }
    await client.write(0, new Uint8Array(mib).fill(200));
    await client.close();
    const held = await facets.snapshots?.attachSnapshot(
      { snapshotId: snapshot?.snapshotId ?? "", host: "host-a" },
      context,
    );
    if (held === undefined) throw new Error("no snapshot");
    const reader = await openFile(held.transport);
    expect((await reader.read(0, 4096)).every((byte) => byte === 1)).toBe(true);
    await reader.close();
    await instance.dispose?.();
  });
});

describe("on a file system that shares no blocks", () => {
  test("the core is there, and the facets say why they are not", async () => {
    const parent = mkdtempSync(join(tmpdir(), "vdc-plain-"));
    try {
      const type = spawnSync("stat", ["-f", "-c", "%T", parent], { encoding: "utf8" }).stdout.trim();
      const pool = await ReflinkPool.open({ name: "files", directory: join(parent, "pool") }, silentLogger);
      const { facets } = await new ReflinkStorageProvider(pool).describe({ scope: {} });
      const shares = ["xfs", "btrfs"].includes(type);
      expect(pool.sharing.shares).toBe(shares);
      if (!shares)
        expect(facets.clones).toMatchObject({ status: "unavailable", reason: expect.stringContaining("FICLONE") });
      expect(facets.resize).toMatchObject({ status: "available" });
      expect(readdirSync(join(parent, "pool")).sort()).toEqual(["snapshots", "volumes"]);
      await pool.close();
    } finally {
      rmSync(parent, { recursive: true, force: true });
    }
  });

  test("a volume can be attached where the pool is seen, and where it was made for", async () => {
    const parent = mkdtempSync(join(tmpdir(), "vdc-plain-"));
    try {
      const config = { name: "files", directory: join(parent, "pool"), accessibleHosts: ["h1", "h2"] };
      const pool = await ReflinkPool.open(config, silentLogger);
      const provider = new ReflinkStorageProvider(pool);
      const context = createOperationContext();
      const size = { capacityBytes: mib };
      const torn = provider.createVolume({ name: "torn", ...size, accessibleHosts: ["h3"] }, context);
      await expect(torn).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "VDC_HOST_NOT_ACCESSIBLE" });
      const any = await provider.createVolume({ name: "any", ...size }, context);
      const bound = await provider.createVolume({ name: "bound", ...size, accessibleHosts: ["h2"] }, context);
      expect([any.accessibleHosts, bound.accessibleHosts]).toEqual([["h1", "h2"], ["h2"]]);
      const attach = { volumeId: bound.volumeId, host: "h1", access: "readWrite", generation: 1 } as const;
      await expect(provider.attachVolume(attach, context)).rejects.toMatchObject({ reason: "VDC_HOST_NOT_ACCESSIBLE" });
      await pool.close();
    } finally {
      rmSync(parent, { recursive: true, force: true });
    }
  });

  test("what a killed process left half-way is swept", async () => {
    const parent = mkdtempSync(join(tmpdir(), "vdc-plain-"));
    try {
      const directory = join(parent, "pool");
      for (const name of [".new-a", ".gone-b"]) mkdirSync(join(directory, "volumes", name), { recursive: true });
      const pool = await ReflinkPool.open({ name: "files", directory }, silentLogger);
      expect(readdirSync(join(directory, "volumes"))).toEqual([]);
      await pool.close();
    } finally {
      rmSync(parent, { recursive: true, force: true });
    }
  });
});
