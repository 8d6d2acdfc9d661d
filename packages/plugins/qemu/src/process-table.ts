import { readFile } from "node:fs/promises";
import { hostPluginProcessVariable } from "@vdc-os/core/host/v1";
import { findProcessesByEnvironment, type ProcessIdentity } from "@vdc-os/core/local";

/** A QEMU whose environment says that it was started for a VM of this host. */
export interface VmProcess extends ProcessIdentity {
  readonly vmId: string;
  /** Names the start that it belongs to. */
  readonly spawn: string;
}

/** The environment variables of a QEMU. `owner` is `<datacenter uid>/<host>/<vm id>`. */
export const vmVariables: Readonly<Record<"owner" | "directory" | "vm" | "spawn", string>> = {
  owner: "VDC_OWNER",
  /** The host's folder. Not the variable of supervised processes: a host's runtime ends those that it does not know. */
  directory: hostPluginProcessVariable,
  vm: "VDC_VM",
  spawn: "VDC_SPAWN",
};

const clockTicksPerSecond = 100;

/** What a process has used: CPU time in milliseconds, and resident memory in bytes. `undefined` when it is gone. */
export async function readUsage(
  identity: ProcessIdentity,
): Promise<{ readonly cpuTimeMs: number; readonly residentBytes: number } | undefined> {
  const stat = await readFile(`/proc/${identity.pid}/stat`, "latin1").catch(() => undefined);
  // The second field is the command in parentheses, which may hold spaces and parentheses itself.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = await readFile(`/proc/${identity.pid}/status`, "latin1").catch(() => undefined);
  if (fields === undefined || status === undefined || Number(fields[19]) !== identity.startTicks) return undefined;
  return {
    cpuTimeMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicksPerSecond,
    residentBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024,
  };
}

/** All QEMUs of a host's folder, whoever started them. */
export async function findVmProcesses(directory: string): Promise<readonly VmProcess[]> {
  const found = await findProcessesByEnvironment(vmVariables.directory, directory);
  return found.map(({ pid, startTicks, variables }) => ({
    pid,
    startTicks,
    vmId: variables.get(vmVariables.vm) ?? "",
    spawn: variables.get(vmVariables.spawn) ?? "",
  }));
}
