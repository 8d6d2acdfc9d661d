import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { VdcError } from "@vdc-os/core";
import type { QmpClient } from "@vdc-os/qmp";
import { z } from "zod";
import { blockNode, deviceId } from "./command-line.ts";
import type { MigratingVm } from "./disk-migrations.ts";
import { addNode, monitorCall, removeUnusedNodes, rootNode } from "./mirror-job.ts";

const nodeSizes = z.array(
  z.object({ "node-name": z.string().optional(), image: z.object({ "virtual-size": z.number() }) }),
);

/** Has a running guest see the size that its disk's volume was grown to: facet `diskResize`. */
export async function resizeDisk(vm: MigratingVm, diskId: string, capacityBytes: number): Promise<void> {
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
  const { transport } = disk;
  if (transport.kind === "file" && transport.format === "raw") {
    // QEMU would make the file as long, or as short, as it is told.
    const { size: inFile } = await stat(transport.path);
    if (inFile !== capacityBytes) throw notGrown(diskId, capacityBytes);
  }
  if (!transport.kind.startsWith("nbd-")) {
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
      throw notGrown(diskId, capacityBytes);
    }
    await monitorCall(monitor, "qom-set", { path: `/machine/peripheral/${device}`, property: "drive", value: grown });
    await monitorCall(monitor, "block_resize", { "node-name": grown, size: capacityBytes });
  } finally {
    await removeUnusedNodes(monitor);
  }
}

function notGrown(diskId: string, capacityBytes: number): VdcError {
  return new VdcError("FAILED_PRECONDITION", `the volume of disk '${diskId}' does not have ${capacityBytes} bytes`);
}

async function nodeSize(monitor: QmpClient, node: string): Promise<number> {
  const found = nodeSizes.parse(await monitorCall(monitor, "query-named-block-nodes", { flat: true }));
  return found.find((one) => one["node-name"] === node)?.image["virtual-size"] ?? 0;
}
