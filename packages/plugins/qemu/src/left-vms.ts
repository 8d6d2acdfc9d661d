import type { Logger } from "@vdc-os/core";
import { killProcess } from "@vdc-os/core/local";
import type { HostFolder } from "./host-folder.ts";
import { findVmProcesses, type VmProcess } from "./process-table.ts";
import { readRecords, removeRecord, type VmRecord } from "./vm-record.ts";

/** What an earlier runtime left in a host's folder. */
export interface LeftVms {
  readonly records: readonly VmRecord[];
  readonly processes: readonly VmProcess[];
  /** VMs whose record can't be read: they are left alone. */
  readonly damaged: readonly string[];
}

/** Finds what an earlier runtime left. A QEMU without a record is ended, and what was never wholly created or deleted goes. */
export async function findLeftVms(folder: HostFolder, logger: Logger): Promise<LeftVms> {
  const { records, damaged, abandoned } = await readRecords(folder);
  const processes = await findVmProcesses(folder.root);
  for (const vmId of damaged) logger.error("the record of a VM is damaged; it is left alone", { vmId });
  for (const process of processes) {
    if (damaged.includes(process.vmId) || records.some(({ vmId }) => vmId === process.vmId)) continue;
    logger.warn("a QEMU without a record is ended", { vmId: process.vmId, pid: process.pid });
    await killProcess(process);
  }
  for (const vmId of abandoned) await removeRecord(folder, vmId);
  return { records, processes, damaged };
}
