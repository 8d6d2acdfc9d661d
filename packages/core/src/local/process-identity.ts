import { readFile } from "node:fs/promises";
import { readProcessStat } from "./process-stat.ts";

/** A process as the operating system knows it. A pid alone names nothing: it is used again. Pid and start time together are unique in a boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start: field 22 of `/proc/PID/stat` (proc_pid_stat(5)). */
  readonly startTicks: number;
}

/** A process that runs. */
export interface RunningProcess extends ProcessIdentity {
  readonly session: number;
}

/** The identity of a running process; `undefined` when there is none, or only what is left of it: a zombie, none of whose threads runs. */
export async function identifyProcess(pid: number): Promise<RunningProcess | undefined> {
  const stat = readProcessStat(pid);
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks, session: stat.session };
}

/** Whether exactly that process still runs. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(identity.pid))?.startTicks === identity.startTicks;
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
