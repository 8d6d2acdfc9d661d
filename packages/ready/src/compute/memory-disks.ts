import { VdcError } from "@vdc-os/core";
import type { ComputeFacets, DiskMigration } from "@vdc-os/core/compute/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import type { MemoryHost, MemoryVm } from "./memory-hypervisor.ts";

/** The facets of the reference that have to do with disks. Guests write nothing, so that a copy is ready at once. */
export function memoryDiskFacets(
  host: MemoryHost,
  find: (vmId: string, generation?: number) => MemoryVm,
): Required<Pick<ComputeFacets, "storageMigration" | "diskCopy" | "diskResize">> {
  const contentOf = (transport: VolumeTransport): Uint8Array => {
    const content = host.volumes.get(JSON.stringify(transport));
    if (content === undefined) throw new VdcError("UNAVAILABLE", "there is no such volume");
    return content;
  };
  const copy = (source: VolumeTransport, target: VolumeTransport): void => contentOf(target).set(contentOf(source));
  const last = (vmId: string, diskId: string, migrationId: string): DiskMigration | undefined => {
    const found = host.migrations.get(`${vmId}/${diskId}`);
    return found?.migrationId === migrationId ? found : undefined;
  };
  const put = (vmId: string, migration: DiskMigration): DiskMigration => {
    host.migrations.set(`${vmId}/${migration.diskId}`, migration);
    return migration;
  };
  const now = (vmId: string, diskId: string, migrationId: string): DiskMigration => {
    const found = last(vmId, diskId, migrationId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no migration '${migrationId}'`);
    const isLost = found.state === "ready" && find(vmId).vm.state !== "running";
    return isLost ? put(vmId, { ...found, state: "failed", message: "the VM ended" }) : found;
  };
  return {
    storageMigration: {
      async startDiskMigration({ vmId, generation, diskId, migrationId, target }) {
        const { vm } = find(vmId, generation);
        if (last(vmId, diskId, migrationId) !== undefined) return now(vmId, diskId, migrationId);
        if (vm.state !== "running") throw new VdcError("FAILED_PRECONDITION", `VM '${vmId}' is off`);
        if (host.migrations.get(`${vmId}/${diskId}`)?.state === "ready") {
          throw new VdcError("FAILED_PRECONDITION", `disk '${diskId}' is being moved`);
        }
        const disk = vm.spec.disks.find(({ id }) => id === diskId);
        if (disk === undefined) throw new VdcError("NOT_FOUND", `there is no disk '${diskId}'`);
        copy(disk.transport, target);
        const totalBytes = contentOf(disk.transport).length;
        const migration = { migrationId, diskId, target, copiedBytes: totalBytes, totalBytes, message: "" };
        return put(vmId, { ...migration, state: "ready" });
      },
      diskMigrationStatus: async ({ vmId, diskId, migrationId }) => now(vmId, diskId, migrationId),
      async completeDiskMigration({ vmId, generation, diskId, migrationId }) {
        const found = find(vmId, generation);
        const migration = now(vmId, diskId, migrationId);
        if (migration.state === "done") return migration;
        if (migration.state !== "ready") throw new VdcError("FAILED_PRECONDITION", `it is ${migration.state}`);
        const { spec } = found.vm;
        const disks = spec.disks.map((disk) => (disk.id === diskId ? { ...disk, transport: migration.target } : disk));
        found.vm = { ...found.vm, spec: { ...spec, disks } };
        found.sizes.set(diskId, contentOf(migration.target).length);
        return put(vmId, { ...migration, state: "done" });
      },
      async cancelDiskMigration({ vmId, generation, diskId, migrationId }) {
        find(vmId, generation);
        const migration = last(vmId, diskId, migrationId);
        if (migration?.state === "done") throw new VdcError("FAILED_PRECONDITION", "it is done");
        if (migration?.state === "ready") put(vmId, { ...migration, state: "cancelled" });
      },
    },
    diskCopy: { copyDisk: async ({ source, target }) => copy(source, target) },
    diskResize: {
      async resizeDisk({ vmId, generation, diskId, capacityBytes }) {
        const { vm, sizes } = find(vmId, generation);
        const disk = vm.spec.disks.find(({ id }) => id === diskId);
        if (disk === undefined) throw new VdcError("NOT_FOUND", `there is no disk '${diskId}'`);
        if (vm.state !== "running") throw new VdcError("FAILED_PRECONDITION", `VM '${vmId}' is off`);
        const seen = sizes.get(diskId) ?? 0;
        if (capacityBytes < seen) throw new VdcError("OUT_OF_RANGE", `its guest sees ${seen} bytes`);
        if (capacityBytes !== seen && contentOf(disk.transport).length !== capacityBytes) {
          throw new VdcError("FAILED_PRECONDITION", `its volume does not have ${capacityBytes} bytes`);
        }
        sizes.set(diskId, capacityBytes);
      },
    },
  };
}
