import { VdcError } from "@vdc-os/core";
import type { ComputeFacets, DiskMigration } from "@vdc-os/core/compute/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { fencedError } from "../world/fenced-error.ts";
import type { WorldServices } from "../world/world-services.ts";
import { isOn, type VmRecord } from "./vm-record.ts";

/** What the facets have of their hypervisor. */
export interface DiskFacetsHost {
  readonly world: WorldServices;
  find(vmId: string): VmRecord;
  changed(record: VmRecord): void;
}

const chunkBytes = 1 << 20;

/** Moving and copying disks. A simulated guest writes only while it boots, so that what was copied once is copied anew at the switch. */
export function diskFacets({
  world,
  find,
  changed,
}: DiskFacetsHost): Required<Pick<ComputeFacets, "storageMigration" | "diskCopy">> {
  const copy = async (source: VolumeTransport, target: VolumeTransport): Promise<number> => {
    const [from, to] = [world.openTransport(source), world.openTransport(target)];
    if (to.capacityBytes < from.capacityBytes) throw new VdcError("OUT_OF_RANGE", "the target is too small");
    for (let at = 0; at < from.capacityBytes; at += chunkBytes) {
      const bytes = await from.read(at, Math.min(chunkBytes, from.capacityBytes - at));
      if (bytes.some((byte) => byte !== 0)) await to.write(at, bytes);
      else await to.discard(at, bytes.length);
    }
    return from.capacityBytes;
  };
  const owned = (vmId: string, generation: number): VmRecord => {
    const record = find(vmId);
    if (generation < record.newest) throw fencedError(`VM '${record.name}'`, generation, record.newest);
    return record;
  };
  const put = (record: VmRecord, migration: DiskMigration): DiskMigration => {
    record.migrations.set(migration.diskId, migration);
    return migration;
  };
  const now = (record: VmRecord, diskId: string, migrationId: string): DiskMigration => {
    const last = record.migrations.get(diskId);
    if (last?.migrationId !== migrationId) {
      throw new VdcError("NOT_FOUND", `disk '${diskId}' of VM '${record.name}' has no migration '${migrationId}'`);
    }
    const isLost = last.state === "ready" && !isOn(record);
    return isLost ? put(record, { ...last, state: "failed", message: "the VM ended (simulated)" }) : last;
  };
  const diskOf = (record: VmRecord, diskId: string): VolumeTransport => {
    const disk = record.spec.disks.find(({ id }) => id === diskId);
    if (disk === undefined) throw new VdcError("NOT_FOUND", `VM '${record.name}' has no disk '${diskId}'`);
    return disk.transport;
  };
  return {
    storageMigration: {
      async startDiskMigration({ vmId, generation, diskId, migrationId, target }) {
        const record = owned(vmId, generation);
        const source = diskOf(record, diskId);
        const last = record.migrations.get(diskId);
        if (last?.migrationId === migrationId) return now(record, diskId, migrationId);
        if (!isOn(record)) throw new VdcError("FAILED_PRECONDITION", `VM '${record.name}' is ${record.state}`);
        if (last?.state === "ready") {
          throw new VdcError("FAILED_PRECONDITION", `disk '${diskId}' of VM '${record.name}' is being moved`, {
            reason: "VDC_DISK_MIGRATING",
          });
        }
        const totalBytes = await copy(source, target);
        return put(record, {
          migrationId,
          diskId,
          target,
          state: "ready",
          copiedBytes: totalBytes,
          totalBytes,
          message: "",
        });
      },
      diskMigrationStatus: async ({ vmId, diskId, migrationId }) => now(find(vmId), diskId, migrationId),
      async completeDiskMigration({ vmId, generation, diskId, migrationId }) {
        const record = owned(vmId, generation);
        const migration = now(record, diskId, migrationId);
        if (migration.state === "done") return migration;
        if (migration.state !== "ready") {
          throw new VdcError("FAILED_PRECONDITION", `migration '${migrationId}' is ${migration.state}`);
        }
        const { target } = migration;
        await copy(diskOf(record, diskId), target);
        const disks = record.spec.disks.map((disk) => (disk.id === diskId ? { ...disk, transport: target } : disk));
        record.spec = { ...record.spec, disks };
        changed(record);
        return put(record, { ...migration, state: "done" });
      },
      async cancelDiskMigration({ vmId, generation, diskId, migrationId }) {
        const record = owned(vmId, generation);
        const last = record.migrations.get(diskId);
        if (last?.migrationId !== migrationId) return;
        if (last.state === "done") {
          throw new VdcError("FAILED_PRECONDITION", `migration '${migrationId}' is done`, {
            reason: "VDC_MIGRATION_DONE",
          });
        }
        if (last.state === "ready") put(record, { ...last, state: "cancelled" });
      },
    },
    diskCopy: {
      async copyDisk({ source, target }, context) {
        await copy(source, target);
        context.progress({ fraction: 1, message: "copying" });
      },
    },
  };
}
