import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { Kernel, use } from "@vdc-os/core/kernel";
import { overPipe } from "@vdc-os/core/remote";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { connectTo, createTestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { expect, it } from "vitest";
import dataRecovery from "../src/index.ts";
import { attachedVolume, context, createTestRecovery, kib, mib } from "./test-recovery.ts";

it("is a plugin: what it needs is a folder, a host and whatever storage there is", async () => {
  await using pool = await createTestPool("here");
  const folder = mkdtempSync(join(tmpdir(), "vdc-recovery-"));
  const config = { name: "backup", directory: join(folder, "repository"), host: "host-b" };
  const kernel = new Kernel({ plugins: [use(dataRecovery, { config })] });
  kernel.provide(storageProvider, "thin", pool.provider);
  await kernel.start();
  try {
    const thin = kernel.get(storageProvider, "thin");
    const { volumeId } = await thin.createVolume({ name: "disk", capacityBytes: 4 * mib });
    const client = await connectTo(
      await thin.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation: 1 }),
    );
    await client.write(Buffer.alloc(64 * kib, "content"), mib);
    const backup = kernel.get(backupRepository, "backup");
    const input = { name: "p", subject: "s", disks: [{ diskId: "d", storage: "thin", volumeId }] };
    const said: string[] = [];
    const point = await backup.createRecoveryPoint(input, {
      onProgress: ({ message = "" }) => void said.push(message),
    });
    expect(said.at(-1)).toMatch(/^disk 'd': \d+\.\d MiB read, \d+\.\d MiB new, \d+\.\d MiB stored$/);
    const target = { kind: "new", storage: "thin", name: "restored" } as const;
    const { recoveryPointId } = point;
    const { disks } = await backup.restore({ recoveryPointId, disks: [{ diskId: "d", target }] });
    const restored = await connectTo(
      await thin.attachVolume({
        volumeId: disks[0]?.volumeId ?? "",
        host: "host-a",
        access: "readOnly",
        generation: 2,
      }),
    );
    const content = Buffer.alloc(4 * mib);
    await restored.read(content, 0);
    const expected = Buffer.alloc(4 * mib);
    await client.read(expected, 0);
    expect(content.equals(expected)).toBe(true);
    await restored.close();
    await client.close();
  } finally {
    await kernel.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

it("keeps the contract over a pipe too", async () => {
  await using test = await createTestRecovery();
  const { volumeId, device } = await attachedVolume(test, "disk", 2 * mib);
  await device.write(0, Buffer.alloc(300 * kib, "some"));
  await using piped = await overPipe(backupRepository, test.provider);
  const backup = piped.implementation;
  const disks = [{ diskId: "d", storage: "pool", volumeId }];
  for (let n = 0; n < 5; n++) await backup.createRecoveryPoint({ name: `p${n}`, subject: "s", disks }, context());
  const names: string[] = [];
  let pageToken: string | undefined;
  do {
    const page = await backup.listRecoveryPoints(
      { limit: 2, ...(pageToken === undefined ? {} : { pageToken }) },
      context(),
    );
    names.push(...page.items.map(({ name }) => name));
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  expect(names).toEqual(["p0", "p1", "p2", "p3", "p4"]);
  await expect(backup.listRecoveryPoints({ pageToken: "no" }, context())).rejects.toMatchObject({ code: "ABORTED" });
  await expect(backup.getRecoveryPoint({ recoveryPointId: "none" }, context())).rejects.toMatchObject({
    code: "NOT_FOUND",
  });
  await expect(backup.verify({ recoveryPointId: "none" }, context())).rejects.toMatchObject({ code: "NOT_FOUND" });
  const badName = { name: "Not A Name", subject: "s", disks };
  await expect(backup.createRecoveryPoint(badName, context())).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  const plan = await backup.prune({ keep: { last: 2 }, dryRun: true }, context());
  expect(plan).toMatchObject({ kept: 2, freedBytes: 0 });
  expect((await backup.status({}, context())).recoveryPoints).toBe(5);
  const pruned = await backup.prune({ keep: { last: 2 } }, context());
  expect(pruned.removed).toEqual(plan.removed);
  await backup.deleteRecoveryPoint({ recoveryPointId: pruned.removed[0] ?? "" }, context());
  expect(await backup.sweep({}, context())).toEqual({ runs: 0, volumes: 0 });
  expect(await backup.verify({}, context())).toMatchObject({ recoveryPoints: 2, damages: [] });
  const { attributes } = await backup.describe({ scope: {} }, context());
  expect(attributes.repositoryId).toBe((await backup.status({}, context())).repositoryId);
});
