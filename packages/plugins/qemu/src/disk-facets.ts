import { VdcError } from "@vdc-os/core";
import type { ComputeFacets } from "@vdc-os/core/compute/v1";
import { deviceId } from "./command-line.ts";
import { copyDisk } from "./copy-disk.ts";
import type { DiskMigrations, MigratingVm } from "./disk-migrations.ts";
import { monitorCall, rootNode } from "./mirror-job.ts";

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

async function resizeDisk(vm: MigratingVm, diskId: string, capacityBytes: number): Promise<void> {
  const disk = vm.record.spec.disks.find(({ id }) => id === diskId);
  if (disk === undefined) throw new VdcError("NOT_FOUND", `VM '${vm.vmId}' has no disk '${diskId}'`);
  const { kind } = disk.transport;
  if (kind === "nbd-unix" || kind === "nbd-tcp") {
    throw new VdcError(
      "UNIMPLEMENTED",
      `disk '${diskId}' of VM '${vm.vmId}': QEMU does not let an NBD disk grow while its VM runs`,
    );
  }
  const monitor = vm.monitor();
  const node = await rootNode(monitor, deviceId("disk", diskId));
  const { size } = await sizeOf(monitor, node);
  if (capacityBytes < size) {
    throw new VdcError("OUT_OF_RANGE", `disk '${diskId}' of VM '${vm.vmId}' has ${size} bytes: it can grow only`);
  }
  await monitorCall(monitor, "block_resize", { "node-name": node, size: capacityBytes });
}

async function sizeOf(monitor: ReturnType<MigratingVm["monitor"]>, node: string): Promise<{ readonly size: number }> {
  const nodes = (await monitorCall(monitor, "query-named-block-nodes", {})) as readonly {
    readonly "node-name"?: string;
    readonly image: { readonly "virtual-size": number };
  }[];
  const found = nodes.find((one) => one["node-name"] === node);
  return { size: found?.image["virtual-size"] ?? 0 };
}
