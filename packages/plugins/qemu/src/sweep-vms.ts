import { rm } from "node:fs/promises";
import { killProcess } from "@vdc-os/core/local";
import { HostFolder } from "./host-folder.ts";
import { findVmProcesses } from "./process-table.ts";

/** What {@link sweepVms} found. */
export interface SweptVms {
  /** How many QEMUs were killed. */
  readonly killed: number;
}

/** Kills every QEMU of a host's folder and removes its VMs, for an ephemeral datacenter that opens a folder after a kill. The host's runtime must not run. */
export async function sweepVms(directory: string): Promise<SweptVms> {
  const folder = await HostFolder.open(directory);
  const processes = await findVmProcesses(folder.root);
  for (const process of processes) {
    await killProcess(process);
    await rm(folder.monitorSocket(process.vmId), { force: true });
    await rm(folder.consoleSocket(process.vmId), { force: true });
  }
  await rm(folder.vms, { recursive: true, force: true });
  return { killed: processes.length };
}
