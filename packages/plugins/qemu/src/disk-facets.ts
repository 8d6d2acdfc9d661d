import { createHash } from "node:crypto";
import { VdcError } from "@vdc-os/core";
import type { ComputeFacets } from "@vdc-os/core/compute/v1";
import type { QmpClient } from "@vdc-os/qmp";
import { z } from "zod";
import { blockNode, deviceId } from "./command-line.ts";
import { copyDisk } from "./copy-disk.ts";
import type { DiskMigrations, MigratingVm } from "./disk-migrations.ts";
import { addNode, monitorCall, removeUnusedNodes, rootNode } from "./mirror-job.ts";

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

const nodeSizes = z.array(
  z.object({ "node-name": z.string().optional(), image: z.object({ "virtual-size": z.number() }) }),
);

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
  const monitor = vm.monitor();
  const device = deviceId("disk", diskId);
  const node = await rootNode(monitor, device);
  const size = await nodeSize(monitor, node);
  if (capacityBytes < size) {
    throw new VdcError("OUT_OF_RANGE", `disk '${diskId}' of VM '${vm.vmId}' has ${size} bytes: it can grow only`);
  }
  if (capacityBytes === size) return;
  if (!disk.transport.kind.startsWith("nbd-")) {
    await monitorCall(monitor, "block_resize", { "node-name": node, size: capacityBytes });
    return;
  }
  if (vm.record.diskMigrations?.some((entry) => entry.diskId === diskId && entry.state === "running") === true) {
    throw new VdcError("FAILED_PRECONDITION", `disk '${diskId}' of VM '${vm.vmId}' is being moved`, {
      reason: "VDC_DISK_MIGRATING",
    });
  }
  // An NBD client keeps the size that it was told when it connected: the disk gets a new one, and the guest is told by a resize to that size.
  const grown = `grow-${createHash("sha256").update(`${diskId}/${capacityBytes}`).digest("hex").slice(0, 24)}`;
  await addNode(monitor, { ...blockNode(disk), "node-name": grown });
  try {
    if ((await nodeSize(monitor, grown)) !== capacityBytes) {
      throw new VdcError("FAILED_PRECONDITION", `the volume of disk '${diskId}' does not have ${capacityBytes} bytes`);
    }
    await monitorCall(monitor, "qom-set", { path: `/machine/peripheral/${device}`, property: "drive", value: grown });
    await monitorCall(monitor, "block_resize", { "node-name": grown, size: capacityBytes });
  } finally {
    await removeUnusedNodes(monitor);
  }
}

async function nodeSize(monitor: QmpClient, node: string): Promise<number> {
  const found = nodeSizes.parse(await monitorCall(monitor, "query-named-block-nodes", { flat: true }));
  return found.find((one) => one["node-name"] === node)?.image["virtual-size"] ?? 0;
}
