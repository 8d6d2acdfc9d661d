import fs, { existsSync, readdirSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { Qcow2Image } from "@vdc-os/qcow2";
import { describe, expect, it } from "vitest";
import { ThinPool } from "../src/thin-pool.ts";
import { hostsOf } from "./test-host.ts";
import { connectTo, context, createTestPool, mib } from "./test-pool.ts";

describe("ThinStorageProvider", () => {
  it("creates by name, once, and refuses another spec", async () => {
    await using test = await createTestPool("here");
    const { provider } = test;
    const made = await Promise.all(
      Array.from({ length: 8 }, () => provider.createVolume({ name: "disk", capacityBytes: 64 * mib }, context())),
    );
    expect(new Set(made.map(({ volumeId }) => volumeId)).size).toBe(1);
    await expect(provider.createVolume({ name: "disk", capacityBytes: 65 * mib }, context())).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
    });
    expect((await provider.capacity({}, context())).provisionedBytes).toBe(64 * mib);
    await provider.deleteVolume({ volumeId: made[0]?.volumeId as string }, context());
    const again = await provider.createVolume({ name: "disk", capacityBytes: 64 * mib }, context());
    expect(again.volumeId).not.toBe(made[0]?.volumeId);
    expect(readdirSync(join(test.folder, "pool", "trash"))).toEqual([]);
  });

  it("makes a volume's files when it is used, and says why where they can't be made", async () => {
    await using test = await createTestPool("here");
    const { volumeId } = await test.provider.createVolume({ name: "disk", capacityBytes: 8 * mib }, context());
    expect(existsSync(test.pool.layout.image(volumeId))).toBe(false);
    expect(await test.provider.health({ volumeId }, context())).toMatchObject({ condition: "healthy" });
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const { mkdirSync } = fs;
    Reflect.set(fs, "mkdirSync", () => {
      throw Object.assign(new Error("ENOSPC: no space left on device, mkdir"), { code: "ENOSPC" });
    });
    syncBuiltinESMExports();
    try {
      await expect(test.provider.attachVolume(attach, context())).rejects.toMatchObject({
        code: "RESOURCE_EXHAUSTED",
        message: expect.stringContaining("'disk'"),
      });
    } finally {
      Reflect.set(fs, "mkdirSync", mkdirSync);
      syncBuiltinESMExports();
    }
    await test.provider.attachVolume(attach, context());
    expect(existsSync(test.pool.layout.image(volumeId))).toBe(true);
    const later = await test.provider.createVolume({ name: "later", capacityBytes: 8 * mib }, context());
    // Without anybody's doing, a little later.
    await expect.poll(() => existsSync(test.pool.layout.image(later.volumeId)), { timeout: 20_000 }).toBe(true);
    expect(readdirSync(test.pool.layout.volumes).sort()).toEqual([volumeId, later.volumeId].sort());
  });

  it("leaves an image as it is that somebody has written behind its back", async () => {
    await using test = await createTestPool("here");
    const { volumeId } = await test.provider.createVolume({ name: "disk", capacityBytes: 8 * mib }, context());
    await test.pool.catalog.filesMade();
    const image = await Qcow2Image.open(test.pool.layout.image(volumeId));
    image.writeSync(Buffer.alloc(4096, 7), 0);
    await image.close();
    await test.reopen();
    await test.pool.catalog.filesMade();
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const client = await connectTo(await test.provider.attachVolume(attach, context()));
    const data = Buffer.alloc(4096);
    await client.read(data, 0);
    expect(data.every((byte) => byte === 7)).toBe(true);
    await client.close();
  });

  it("serves a volume to one owner, and fences the others, across restarts", async () => {
    await using test = await createTestPool("here");
    const { volumeId } = await test.provider.createVolume({ name: "disk", capacityBytes: 8 * mib }, context());
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const first = await test.provider.attachVolume(attach, context());
    expect(first).toMatchObject({ fencing: "enforced", transport: { kind: "nbd-unix" } });
    expect(await test.provider.attachVolume(attach, context())).toEqual(first);
    const old = await connectTo(first);
    await old.write(Buffer.alloc(4096, 1), 0);
    await expect(test.provider.deleteVolume({ volumeId }, context())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
    const second = await test.provider.attachVolume({ ...attach, host: "host-b", generation: 2 }, context());
    await expect(old.write(Buffer.alloc(4096, 2), 0)).rejects.toThrow();
    await expect(connectTo(first)).rejects.toThrow();
    const owner = await connectTo(second);
    const read = Buffer.alloc(4096);
    await owner.read(read, 0);
    expect(read.every((byte) => byte === 1)).toBe(true);
    await expect(test.provider.attachVolume(attach, context())).rejects.toMatchObject({ reason: "VDC_FENCED" });
    await test.provider.revokeAttachment({ volumeId, generation: 5 }, context());
    await expect(owner.write(read, 0)).rejects.toThrow();
    await test.reopen();
    await expect(test.provider.attachVolume({ ...attach, generation: 5 }, context())).rejects.toMatchObject({
      reason: "VDC_FENCED",
    });
    const third = await test.provider.attachVolume({ ...attach, generation: 6 }, context());
    await test.provider.detachVolume({ volumeId, host: "host-a", generation: 5 }, context());
    expect(await test.provider.getAttachment({ volumeId }, context())).toEqual({ attachment: third });
    await test.provider.detachVolume({ volumeId, host: "host-a", generation: 6 }, context());
    await test.provider.deleteVolume({ volumeId }, context());
  });

  it("does not fence what it can't reach, and finishes when it can", async () => {
    await using test = await createTestPool("here");
    const { volumeId } = await test.provider.createVolume({ name: "disk", capacityBytes: 8 * mib }, context());
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const client = await connectTo(await test.provider.attachVolume(attach, context()));
    test.hosts[0].unreachable = true;
    const move = { ...attach, host: "host-b", generation: 2 } as const;
    await expect(test.provider.attachVolume(move, context())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      reason: "VDC_CANNOT_FENCE",
    });
    await client.write(Buffer.alloc(512, 1), 0);
    test.hosts[0].unreachable = false;
    await test.reopen();
    expect((await test.provider.attachVolume(move, context())).host).toBe("host-b");
    await expect(client.write(Buffer.alloc(512, 1), 0)).rejects.toThrow();
  });

  it("takes a storage process that does not run for dead", async () => {
    await using test = await createTestPool("here");
    const { volumeId } = await test.provider.createVolume({ name: "disk", capacityBytes: 8 * mib }, context());
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const first = await test.provider.attachVolume(attach, context());
    await test.hosts[0].kill();
    await test.provider.attachVolume({ ...attach, host: "host-b", generation: 2 }, context());
    await test.hosts[0].restart();
    await expect(connectTo(first)).rejects.toThrow();
  });

  it("is for the hosts that reach the pool, and a volume for those that it was made for", async () => {
    await using test = await createTestPool("here", { accessibleHosts: ["host-a", "host-b"] });
    const { provider } = test;
    const { attributes } = await provider.describe({ scope: {} }, context());
    expect(attributes.accessibleHosts).toEqual(["host-a", "host-b"]);
    const size = { capacityBytes: 8 * mib };
    const torn = provider.createVolume({ name: "torn", ...size, accessibleHosts: ["host-a", "host-c"] }, context());
    await expect(torn).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    const any = await provider.createVolume({ name: "any", ...size }, context());
    expect(any.accessibleHosts).toEqual(["host-a", "host-b"]);
    const bound = await provider.createVolume({ name: "bound", ...size, accessibleHosts: ["host-b"] }, context());
    expect(bound.accessibleHosts).toEqual(["host-b"]);
    const { volumeId } = bound;
    const attach = { volumeId, access: "readWrite", generation: 1 } as const;
    const elsewhere = provider.attachVolume({ ...attach, host: "host-a" }, context());
    await expect(elsewhere).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_HOST_NOT_ACCESSIBLE" });
    await provider.attachVolume({ ...attach, host: "host-b" }, context());
  });

  it("keeps a second process out", async () => {
    await using test = await createTestPool("here");
    await expect(
      ThinPool.open({ name: "fast", directory: join(test.folder, "pool"), hosts: hostsOf([]) }),
    ).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_POOL_LOCKED", details: { pid: process.pid } });
  });

  it("forbids to promise more than its limit, and to grow past it", async () => {
    await using test = await createTestPool("here", { capacityBytes: 100 * mib, maxOverSubscription: 2 });
    const { provider } = test;
    const { volumeId } = await provider.createVolume({ name: "a", capacityBytes: 150 * mib }, context());
    const more = provider.createVolume({ name: "b", capacityBytes: 60 * mib }, context());
    await expect(more).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", details: { limitBytes: 200 * mib } });
    await expect(
      provider.facets.resize.resizeVolume({ volumeId, capacityBytes: 201 * mib }, context()),
    ).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    const grown = await provider.facets.resize.resizeVolume({ volumeId, capacityBytes: 200 * mib }, context());
    expect(grown.capacityBytes).toBe(200 * mib);
    const { alarms, provisionedBytes } = await provider.capacity({}, context());
    expect(provisionedBytes).toBe(200 * mib);
    expect(alarms.map(({ kind }) => kind)).toEqual(["provisioned", "provisioned"]);
    await test.reopen();
    expect((await test.provider.capacity({}, context())).provisionedBytes).toBe(200 * mib);
    expect(existsSync(join(test.folder, "pool", "volumes", volumeId))).toBe(true);
  });
});
