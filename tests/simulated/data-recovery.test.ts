import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { DatacenterRecovery, type OpenDevice, openDataRecovery } from "@vdc-os/plugin-data-recovery";
import { expect, test } from "vitest";
import { openSimulatedDatacenter } from "./open-simulated-datacenter.ts";

const mib = 1024 * 1024;

test("every VM of a datacenter is backed up while it runs, and a disk is restored into a volume that a VM then has", async () => {
  await using simulated = await openSimulatedDatacenter({ hostMemoryBytes: [1024 * mib] });
  const { dc, world } = simulated;
  const folder = mkdtempSync(join(tmpdir(), "vdc-recovery-"));
  const openDevice: OpenDevice = async (transport) => {
    const device = world.openTransport(transport);
    return {
      sizeBytes: device.capacityBytes,
      read: async (target, offset) => void target.set(await device.read(offset, target.length)),
      write: (source, offset) => device.write(offset, source),
      writeZeroes: (offset, length) => device.discard(offset, length),
      flush: () => device.flush(),
      close: () => device.close(),
    };
  };
  const storage = dc.kernel.all(storageProvider);
  const opened = await openDataRecovery({ directory: join(folder, "repository"), host: "h1", storage, openDevice });
  const provided = dc.kernel.provide(backupRepository, "backup", opened.provider);
  try {
    const boot = { kind: "kernel", kernel: "/boot/vmlinuz", commandLine: "console=ttyS0" } as const;
    await dc.images.createAndWait({ name: "linux", spec: { boot } });
    const disk = { kind: "empty", storage: "storage", capacityBytes: 4 * mib } as const;
    const spec = { image: "linux", cpus: 1, memoryBytes: 64 * mib, disks: [disk, disk] };
    for (const name of ["web-1", "web-2"]) await dc.vms.createAndWait({ name, spec });
    const recovery = new DatacenterRecovery(dc, dc.kernel.get(backupRepository));
    const disks = await recovery.disksOf("web-1");
    expect(disks.map(({ diskId, storage: name }) => [diskId, name])).toEqual([
      ["disk0", "storage"],
      ["disk1", "storage"],
    ]);
    const write = async (offset: number, text: string): Promise<void> => {
      const { attachment } = await storage.get("storage").getAttachment({ volumeId: disks[1]?.volumeId ?? "" });
      if (attachment === undefined) throw new Error("the VM does not run");
      await world.openTransport(attachment.transport).write(offset, Buffer.from(text.padEnd(4096)));
    };
    await write(mib, "before");
    const results = await recovery.backUpAll({ name: "first" });
    expect(results.map(({ vm, error }) => [vm, error])).toEqual([
      ["web-1", undefined],
      ["web-2", undefined],
    ]);
    await write(mib, "after");
    const second = await recovery.backUpVm("web-1", { name: "second" });
    expect(second).toMatchObject({ consistency: "group", disks: [{ reading: "changed" }, { reading: "changed" }] });
    const points = await recovery.pointsOf("web-1");
    expect(points.map(({ name }) => name)).toEqual(["first", "second"]);

    await dc.volumes.createAndWait({ name: "rescued", spec: { storage: "storage", capacityBytes: 4 * mib } });
    const inUse = recovery.restoreDisk(second.recoveryPointId, {
      diskId: "disk1",
      volume: (await dc.vms.get("web-1")).status.disks?.[1]?.volume ?? "",
    });
    await expect(inUse).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await recovery.restoreDisk(points[0]?.recoveryPointId ?? "", { diskId: "disk1", volume: "rescued" });
    await dc.vms.createAndWait({
      name: "rescuer",
      spec: { ...spec, disks: [{ kind: "volume", volume: "rescued" }] },
    });
    const { status } = await dc.volumes.get("rescued");
    const { attachment } = await storage.get("storage").getAttachment({ volumeId: status.volumeId ?? "" });
    const content = await world.openTransport(attachment?.transport as never).read(mib, 6);
    expect(Buffer.from(content).toString()).toBe("before");
  } finally {
    await provided.remove();
    await opened.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
