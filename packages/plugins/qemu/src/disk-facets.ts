import type { ComputeFacets } from "@vdc-os/core/compute/v1";
import { copyDisk } from "./copy-disk.ts";
import type { DiskMigrations, MigratingVm } from "./disk-migrations.ts";
import { resizeDisk } from "./resize-disk.ts";

/** What the facets have of their hypervisor. */
export interface DiskFacetsHost {
  readonly directory: string;
  /** Absent when the host has none: copying is then not offered. */
  readonly qemuImg: string | undefined;
  /** Does something with a VM while nothing else changes it. A lower generation than was seen is fenced. */
  alone<T>(
    ref: { readonly vmId: string; readonly generation?: number },
    work: (vm: MigratingVm, migrations: DiskMigrations) => Promise<T>,
  ): Promise<T>;
}

/** The facets that have to do with a VM's disks: `storageMigration`, `diskCopy` and `diskResize`. */
export function diskFacets(
  host: DiskFacetsHost,
): Required<Pick<ComputeFacets, "storageMigration" | "diskResize">> & Pick<ComputeFacets, "diskCopy"> {
  const { qemuImg: program, directory } = host;
  return {
    storageMigration: {
      startDiskMigration: ({ diskId, migrationId, target, ...ref }) =>
        host.alone(ref, (_, migrations) => migrations.start(diskId, migrationId, target)),
      diskMigrationStatus: ({ diskId, migrationId, vmId }) =>
        host.alone({ vmId }, (_, migrations) => migrations.status(diskId, migrationId)),
      completeDiskMigration: ({ diskId, migrationId, ...ref }) =>
        host.alone(ref, (_, migrations) => migrations.complete(diskId, migrationId)),
      cancelDiskMigration: ({ diskId, migrationId, ...ref }) =>
        host.alone(ref, (_, migrations) => migrations.cancel(diskId, migrationId)),
    },
    ...(program === undefined
      ? {}
      : {
          diskCopy: {
            copyDisk: ({ source, target }, context) =>
              copyDisk(source, target, {
                program,
                directory,
                signal: context.signal,
                onProgress: (fraction) => context.progress({ fraction, message: "copying" }),
              }),
          },
        }),
    diskResize: {
      resizeDisk: ({ diskId, capacityBytes, ...ref }) => host.alone(ref, (vm) => resizeDisk(vm, diskId, capacityBytes)),
    },
  };
}
