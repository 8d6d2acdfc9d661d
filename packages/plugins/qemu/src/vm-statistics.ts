import { toVdcError, VdcError } from "@vdc-os/core";
import type { VmSpec, VmStatistics } from "@vdc-os/core/compute/v1";
import type { BlockStats } from "@vdc-os/qmp";
import { deviceId } from "./command-line.ts";
import { readUsage } from "./process-table.ts";
import type { QemuProcess } from "./qemu-process.ts";

/** What a running VM uses: its process by `/proc`, its disks by QEMU's counters. */
export async function readStatistics(
  vmId: string,
  spec: VmSpec,
  process: QemuProcess,
  signal: AbortSignal,
): Promise<VmStatistics> {
  const usage = await readUsage(process.identity);
  const { monitor } = process;
  if (usage === undefined) throw new VdcError("FAILED_PRECONDITION", `VM '${vmId}' has just ended`);
  if (monitor === undefined) throw new VdcError("UNAVAILABLE", `the monitor of VM '${vmId}' does not answer`);
  const blocks = await monitor
    .execute("query-blockstats", undefined, { signal, timeoutMs: 5_000 })
    .catch((error: unknown) => {
      if (signal.aborted) throw toVdcError(signal.reason);
      throw new VdcError("UNAVAILABLE", `the monitor of VM '${vmId}' does not answer`, { cause: error });
    });
  return {
    vmId,
    at: Date.now(),
    ...usage,
    disks: spec.disks.flatMap(({ id }) => {
      const stats = blocks.find((block) => isOf(block, deviceId("disk", id)))?.stats;
      if (stats === undefined) return [];
      return [
        {
          id,
          readBytes: stats.rd_bytes,
          writtenBytes: stats.wr_bytes,
          readOperations: stats.rd_operations,
          writeOperations: stats.wr_operations,
        },
      ];
    }),
  };
}

function isOf(block: BlockStats, device: string): boolean {
  return block["node-name"] === device || block.qdev?.split("/").includes(device) === true;
}
