import { readdir, readFile } from "node:fs/promises";
import { hostPluginProcessVariable } from "@vdc-os/core/host/v1";

/** A process as the operating system knows it. A pid alone names nothing: it is used again. Pid and start time together are unique in a boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start: field 22 of `/proc/PID/stat` (proc_pid_stat(5)). */
  readonly startTicks: number;
}

/** A QEMU whose environment says that it was started for a VM of this host. */
export interface VmProcess extends ProcessIdentity {
  readonly vmId: string;
  /** Names the start that it belongs to. */
  readonly spawn: string;
}

/** The environment variables of a QEMU. `owner` is `<datacenter uid>/<host>/<vm id>`. */
export const vmVariables = {
  owner: "VDC_OWNER",
  /** The host's folder. Not the variable of supervised processes: a host's runtime ends those that it does not know. */
  directory: hostPluginProcessVariable,
  vm: "VDC_VM",
  spawn: "VDC_SPAWN",
} as const;

const clockTicksPerSecond = 100;

/** The identity of a running process; `undefined` when there is none, or only what is left of it (a zombie). */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const fields = await readStat(pid);
  if (fields === undefined || fields[0] === "Z" || fields[0] === "X") return undefined;
  return { pid, startTicks: Number(fields[19]) };
}

/** Whether exactly that process still runs. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(identity.pid))?.startTicks === identity.startTicks;
}

/** What a process has used: CPU time in milliseconds, and resident memory in bytes. `undefined` when it is gone. */
export async function readUsage(
  identity: ProcessIdentity,
): Promise<{ readonly cpuTimeMs: number; readonly residentBytes: number } | undefined> {
  const fields = await readStat(identity.pid);
  const status = await readFile(`/proc/${identity.pid}/status`, "latin1").catch(() => undefined);
  if (fields === undefined || status === undefined || Number(fields[19]) !== identity.startTicks) return undefined;
  return {
    cpuTimeMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicksPerSecond,
    residentBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024,
  };
}

/** All QEMUs of a host's folder, whoever started them. */
export async function findVmProcesses(directory: string): Promise<readonly VmProcess[]> {
  const found: VmProcess[] = [];
  const needle = Buffer.from(`${vmVariables.directory}=${directory}\0`);
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    // Unreadable means of another user, or gone.
    const environ = await readFile(`/proc/${pid}/environ`).catch(() => undefined);
    if (environ === undefined || !environ.includes(needle)) continue;
    const variables = new Map(
      environ
        .toString()
        .split("\0")
        .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
    );
    if (variables.get(vmVariables.directory) !== directory) continue;
    const identity = await identifyProcess(pid);
    if (identity === undefined) continue;
    found.push({
      ...identity,
      vmId: variables.get(vmVariables.vm) ?? "",
      spawn: variables.get(vmVariables.spawn) ?? "",
    });
  }
  return found;
}

/** Sends a signal to exactly that process. False when it is gone. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isRunning(identity))) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Waits until a process is gone. False when it is still there after `timeoutMs`. */
export async function awaitExit(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const giveUp = performance.now() + timeoutMs;
  let pauseMs = 2;
  while (await isRunning(identity)) {
    if (performance.now() > giveUp) return false;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(50, pauseMs * 2);
  }
  return true;
}

/** Kills a process and waits until it is gone. False when it does not die (it waits in the kernel for a device). */
export async function killProcess(identity: ProcessIdentity): Promise<boolean> {
  await signalProcess(identity, "SIGKILL");
  return awaitExit(identity, 10_000);
}

/** The boot of the machine: start times of processes mean nothing across boots. */
export async function readBootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "latin1")).trim();
}

async function readStat(pid: number): Promise<readonly string[] | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // The second field is the command in parentheses, which may hold spaces and parentheses itself.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
