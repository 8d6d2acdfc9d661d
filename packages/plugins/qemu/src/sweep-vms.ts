import { rm } from "node:fs/promises";
import { killProcess } from "@vdc-os/core/local";
import { HostBridges } from "./host-bridges.ts";
import { HostFolder } from "./host-folder.ts";
import { findVmProcesses } from "./process-table.ts";

/** What {@link sweepVms} found. */
export interface SweptVms {
  /** How many QEMUs were killed. */
  readonly killed: number;
}

/** Options of {@link sweepVms}. */
export interface SweepVmsOptions {
  /** As in the plugin's config: the remotes of the host's Open vSwitch database. Ports there stay where it is not given. */
  readonly openVswitch?: string;
}

/**
 * Kills every QEMU of a host's folder and removes its VMs, for an ephemeral datacenter that opens a folder after a kill. The host's runtime must not run. Fails
 * with `UNAVAILABLE` when the ports that VMs had can't be removed; everything else is then done.
 */
export async function sweepVms(directory: string, options: SweepVmsOptions = {}): Promise<SweptVms> {
  const { openVswitch } = options;
  const folder = await HostFolder.open(directory);
  const processes = await findVmProcesses(folder.root);
  for (const process of processes) {
    await killProcess(process);
    await rm(folder.monitorSocket(process.vmId), { force: true });
    await rm(folder.consoleSocket(process.vmId), { force: true });
  }
  await rm(folder.vms, { recursive: true, force: true });
  if (openVswitch !== undefined) await HostBridges.sweep(openVswitch, folder.root);
  return { killed: processes.length };
}
