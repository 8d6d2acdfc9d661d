import { createTestRandom } from "@vdc-os/core/testing";
import type { BackupDisk, RecoveryPoint } from "@vdc-os/core/backup/v1";
import type { SimulatedBlockDevice } from "@vdc-os/plugin-simulator";
import { expect, it } from "vitest";
import { attachedVolume, context, createTestRecovery, kib, mib, restoredContent, tracesOn } from "./test-recovery.ts";

const random = createTestRandom(11);

/** Bytes that do not compress. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = Math.floor(random.next() * 256);
  return bytes;
}

async function contentNow(device: SimulatedBlockDevice): Promise<Buffer> {
  return Buffer.from(await device.read(0, device.capacityBytes));
}

it("makes a full point and incremental ones of a disk in use, and restores each bit for bit", async () => {
  await using test = await createTestRecovery();
  const { volumeId, device } = await attachedVolume(test, "disk", 20 * mib + 12 * kib);
  const disks: BackupDisk[] = [{ diskId: "disk0", storage: "pool", volumeId }];
  await device.write(0, noise(3 * mib));
  await device.write(9 * mib + 4096, noise(200 * kib));
  await device.write(20 * mib, noise(12 * kib));
  const points: RecoveryPoint[] = [];
  const expected: Buffer[] = [];
  for (let n = 0; n < 4; n++) {
    expected.push(await contentNow(device));
    points.push(await test.provider.createRecoveryPoint({ name: `p${n}`, subject: "vm/a", disks }, context()));
    await device.write(n * mib, noise(8 * kib));
    await device.discard(9 * mib + n * 64 * kib, 64 * kib);
  }
  expect(points.map(({ disks: [disk] }) => disk?.reading)).toEqual(["full", "changed", "changed", "changed"]);
  expect(points[0]?.disks[0]?.readBytes).toBeLessThan(5 * mib);
  for (const {
    disks: [disk],
  } of points.slice(1)) {
    expect(disk?.readBytes).toBeLessThanOrEqual(4 * 64 * kib);
    expect(disk?.storedBytes).toBeLessThan(200 * kib);
  }
  for (const [n, point] of points.entries()) {
    expect((await restoredContent(test, point, "disk0", `r${n}`)).equals(expected[n] as Buffer), `point ${n}`).toBe(
      true,
    );
  }
  expect(await tracesOn(test, volumeId)).toEqual({ snapshots: 0, checkpoints: 1 });
  expect((await test.provider.verify({}, context())).damages).toEqual([]);
  const status = await test.provider.status();
  expect(status).toMatchObject({ recoveryPoints: 4, runs: [] });
  expect(status.storedBytes).toBeLessThan(status.dataBytes / 3);
});

it("returns what is there when a call is repeated, also after it was opened again", async () => {
  await using test = await createTestRecovery();
  const { volumeId, device } = await attachedVolume(test, "disk", mib);
  await device.write(0, noise(100 * kib));
  const input = { name: "p", subject: "s", disks: [{ diskId: "d", storage: "pool", volumeId }], labels: { a: "b" } };
  const point = await test.provider.createRecoveryPoint(input, context());
  expect(await test.provider.createRecoveryPoint(input, context())).toEqual(point);
  await test.reopen();
  expect(await test.provider.createRecoveryPoint(input, context())).toEqual(point);
  expect(await test.provider.getRecoveryPoint(point)).toEqual(point);
  const otherDisks = { ...input, disks: [{ diskId: "e", storage: "pool", volumeId }] };
  await expect(test.provider.createRecoveryPoint(otherDisks, context())).rejects.toMatchObject({
    code: "ALREADY_EXISTS",
  });
  const target = { kind: "new", storage: "pool", name: "r" } as const;
  const restore = { recoveryPointId: point.recoveryPointId, disks: [{ diskId: "d", target }] };
  const restored = await test.provider.restore(restore, context());
  expect(await test.provider.restore(restore, context())).toEqual(restored);
});

it("takes the disks of a VM as of one moment, while they are written to", async () => {
  await using test = await createTestRecovery();
  const a = await attachedVolume(test, "a", 4 * mib);
  const b = await attachedVolume(test, "b", 4 * mib);
  const disks = [
    { diskId: "disk0", storage: "pool", volumeId: a.volumeId },
    { diskId: "disk1", storage: "pool", volumeId: b.volumeId },
  ];
  let stop = false;
  // Each number is on the second disk only after the first has it.
  const writer = (async () => {
    for (let n = 1; !stop; n++) {
      const block = Buffer.alloc(4096);
      block.writeUInt32LE(n, 0);
      await a.device.write(0, block);
      await b.device.write(0, block);
      await a.device.write(64 * kib * (1 + (n % 60)), noise(4096));
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  try {
    for (let n = 0; n < 5; n++) {
      const point = await test.provider.createRecoveryPoint({ name: `p${n}`, subject: "vm", disks }, context());
      expect(point.consistency).toBe("group");
      const first = await restoredContent(test, point, "disk0", `a${n}`);
      const second = await restoredContent(test, point, "disk1", `b${n}`);
      const [seenByA, seenByB] = [first.readUInt32LE(0), second.readUInt32LE(0)];
      if (n > 0) expect(seenByB).toBeGreaterThan(0);
      expect(seenByA === seenByB || seenByA === seenByB + 1).toBe(true);
      const held = [...test.held.values()].slice(-2);
      expect(held.some((content) => content.equals(first))).toBe(true);
      expect(held.some((content) => content.equals(second))).toBe(true);
      test.held.clear();
    }
  } finally {
    stop = true;
    await writer;
  }
});

it("refuses disks that can't be had of one moment, unless it is asked for", async () => {
  await using test = await createTestRecovery();
  const other = test.world.storage("other");
  const a = await attachedVolume(test, "a", mib);
  const b = await attachedVolume(test, "b", mib, other);
  const disks = [
    { diskId: "disk0", storage: "pool", volumeId: a.volumeId },
    { diskId: "disk1", storage: "other", volumeId: b.volumeId },
  ];
  const input = { name: "p", subject: "vm", disks };
  await expect(test.provider.createRecoveryPoint(input, context())).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    reason: "VDC_BACKUP_NOT_OF_ONE_MOMENT",
  });
  expect(await tracesOn(test, a.volumeId)).toEqual({ snapshots: 0, checkpoints: 0 });
  const asked = await test.provider.createRecoveryPoint({ ...input, consistency: "perDisk" }, context());
  expect(asked.consistency).toBe("perDisk");
  await other.detachVolume({ volumeId: b.volumeId, host: "host-1", generation: 1 }, context());
  await test.storage.detachVolume({ volumeId: a.volumeId, host: "host-1", generation: 1 });
  const detached = await test.provider.createRecoveryPoint({ ...input, name: "q" }, context());
  expect(detached.consistency).toBe("group");
});

it("compares where changes are not tracked, and needs a generation where there are no snapshots", async () => {
  let hidden: readonly string[] = ["changedBlocks"];
  await using test = await createTestRecovery({
    storage: (provider) =>
      new Proxy(provider, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (name !== "describe") return typeof value === "function" ? value.bind(target) : value;
          return async (...args: Parameters<typeof target.describe>) => {
            const described = await target.describe(...args);
            const gone = hidden.map((facet) => [facet, { status: "unavailable", reason: "it is hidden" }]);
            return { ...described, facets: { ...described.facets, ...Object.fromEntries(gone) } };
          };
        },
      }),
  });
  const { volumeId, device } = await attachedVolume(test, "disk", 4 * mib);
  await device.write(0, noise(2 * mib));
  const disks = [{ diskId: "d", storage: "pool", volumeId }];
  await test.provider.createRecoveryPoint({ name: "p0", subject: "s", disks }, context());
  await device.write(mib, noise(4096));
  const expected = await contentNow(device);
  const compared = await test.provider.createRecoveryPoint({ name: "p1", subject: "s", disks }, context());
  expect(compared.disks[0]).toMatchObject({ reading: "compared", readBytes: 4 * mib, newBytes: 64 * kib });
  expect((await restoredContent(test, compared, "d", "r")).equals(expected)).toBe(true);

  hidden = ["changedBlocks", "snapshots", "groupSnapshots"];
  const refused = test.provider.createRecoveryPoint({ name: "p2", subject: "s", disks }, context());
  await expect(refused).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_BACKUP_NEEDS_SNAPSHOTS" });
  const withGeneration = disks.map((disk) => ({ ...disk, generation: 2 }));
  const inUse = test.provider.createRecoveryPoint({ name: "p2", subject: "s", disks: withGeneration }, context());
  await expect(inUse).rejects.toMatchObject({ reason: "VDC_BACKUP_NEEDS_SNAPSHOTS" });
  await test.storage.detachVolume({ volumeId, host: "host-1", generation: 1 });
  const direct = await test.provider.createRecoveryPoint(
    { name: "p2", subject: "s", disks: withGeneration },
    context(),
  );
  expect((await restoredContent(test, direct, "d", "r2")).equals(expected)).toBe(true);
  expect((await test.storage.getAttachment({ volumeId })).attachment).toBeUndefined();
});

it("takes everything when it can't be told what has changed, and from then on what has changed", async () => {
  await using test = await createTestRecovery();
  const { volumeId, device } = await attachedVolume(test, "disk", 4 * mib);
  const disks = [{ diskId: "d", storage: "pool", volumeId }];
  await device.write(0, noise(mib));
  await test.provider.createRecoveryPoint({ name: "p0", subject: "s", disks }, context());
  const fault = { point: "vdc.storage", operation: "changedBlocks.changedExtents", nth: 1 } as const;
  test.world.faults.add({ ...fault, error: "FAILED_PRECONDITION" });
  await device.write(2 * mib, noise(4096));
  const expected = await contentNow(device);
  const full = await test.provider.createRecoveryPoint({ name: "p1", subject: "s", disks }, context());
  expect(full.disks[0]?.reading).toBe("full");
  expect((await restoredContent(test, full, "d", "r1")).equals(expected)).toBe(true);
  const next = await test.provider.createRecoveryPoint({ name: "p2", subject: "s", disks }, context());
  expect(next.disks[0]).toMatchObject({ reading: "changed", readBytes: 0 });
});

it("follows a disk that grows, also beyond what its tree could hold", async () => {
  await using test = await createTestRecovery();
  const { volumeId } = await test.storage.createVolume({ name: "disk", capacityBytes: 15 * mib });
  const attach = async (generation: number): Promise<SimulatedBlockDevice> => {
    const input = { volumeId, host: "host-1", access: "readWrite", generation } as const;
    return test.world.openTransport((await test.storage.attachVolume(input)).transport);
  };
  let device = await attach(1);
  await device.write(14 * mib, noise(mib));
  const disks = [{ diskId: "d", storage: "pool", volumeId }];
  await test.provider.createRecoveryPoint({ name: "p0", subject: "s", disks }, context());
  await test.storage.detachVolume({ volumeId, host: "host-1", generation: 1 });
  const resize = await test.storage.facet("resize");
  if (!resize.available) throw new Error(resize.reason);
  await resize.operations.resizeVolume({ volumeId, capacityBytes: 40 * mib });
  device = await attach(2);
  await device.write(39 * mib, noise(mib));
  const expected = await contentNow(device);
  const point = await test.provider.createRecoveryPoint({ name: "p1", subject: "s", disks }, context());
  expect(point.disks[0]).toMatchObject({ reading: "changed", dataBytes: 2 * mib, newBytes: mib });
  expect((await restoredContent(test, point, "d", "r")).equals(expected)).toBe(true);
});

it("ends soon after it is cancelled, and holds nothing then", async () => {
  await using test = await createTestRecovery({ flushBytes: 64 * kib });
  const { volumeId, device } = await attachedVolume(test, "disk", 32 * mib);
  for (let at = 0; at < 32; at++) await device.write(at * mib, Buffer.alloc(mib, at + 1));
  const controller = new AbortController();
  const onProgress = (): void => controller.abort();
  const input = { name: "p", subject: "s", disks: [{ diskId: "d", storage: "pool", volumeId }] };
  const call = test.provider.createRecoveryPoint(input, context({ signal: controller.signal, onProgress }));
  await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
  expect(await tracesOn(test, volumeId)).toEqual({ snapshots: 0, checkpoints: 0 });
  expect((await test.provider.status()).runs).toEqual([]);
  await test.provider.createRecoveryPoint(input, context());
});

it("lets one run at a time work on a subject, and one process have the repository", async () => {
  await using test = await createTestRecovery();
  const { volumeId } = await attachedVolume(test, "disk", mib);
  const input = { name: "p", subject: "s", disks: [{ diskId: "d", storage: "pool", volumeId }] };
  const [first, second] = await Promise.allSettled([
    test.provider.createRecoveryPoint(input, context()),
    test.provider.createRecoveryPoint({ ...input, name: "q" }, context()),
  ]);
  expect(first.status).toBe("fulfilled");
  expect(second).toMatchObject({ reason: { code: "ABORTED", reason: "VDC_BACKUP_RUNNING" } });
  const { Repository } = await import("../src/repository/repository.ts");
  await expect(Repository.open({ directory: test.directory })).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    reason: "VDC_REPOSITORY_LOCKED",
  });
});
