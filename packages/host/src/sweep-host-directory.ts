import { rm } from "node:fs/promises";
import { join } from "node:path";
import { hostPluginProcessVariable } from "@vdc-os/core/host/v1";
import { HostDirectory } from "./host-directory.ts";
import { findOwnedProcesses, killOwnedProcesses } from "./process-table.ts";

/** What {@link sweepHostDirectory} found. */
export interface SweepReport {
  /** How many processes were killed, the runtime among them. */
  readonly killed: number;
}

/** Kills what the host's plugins have started by themselves, VM monitors for one. Returns how many. */
export function killPluginProcesses(root: string): Promise<number> {
  return killOwnedProcesses(root, () => true, hostPluginProcessVariable);
}

/**
 * Kills everything that belongs to a host directory, the runtime first so that it starts nothing again, and removes sockets, records
 * and logs. For an ephemeral datacenter that opens a folder after a kill. The host's identity stays. A folder that does not exist is
 * swept.
 */
export async function sweepHostDirectory(path: string): Promise<SweepReport> {
  const directory = HostDirectory.find(path);
  if (directory === undefined) return { killed: 0 };
  const before = await findOwnedProcesses(directory.root);
  const hasRuntime = before.some((owned) => owned.owner === undefined);
  let killed = 0;
  if (hasRuntime) killed += await killOwnedProcesses(directory.root, (owned) => owned.owner === undefined);
  killed += await killOwnedProcesses(directory.root);
  killed += await killPluginProcesses(directory.root);
  for (const name of ["run", "processes", "log"])
    await rm(join(directory.root, name), { recursive: true, force: true });
  await rm(directory.runtimeOptions, { force: true });
  await rm(directory.runtimeLog, { force: true });
  return { killed };
}
