import { readdir, readFile } from "node:fs/promises";

/** A process as the operating system knows it. A pid alone names nothing: it is used again. Pid and start time together are unique in a boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start: field 22 of `/proc/PID/stat` (proc_pid_stat(5)). */
  readonly startTicks: number;
}

/** A process that was found by its environment. */
export interface FoundProcess extends ProcessIdentity {
  /** Whether it leads a session of its own, as a detached process does. */
  readonly sessionLeader: boolean;
  readonly variables: ReadonlyMap<string, string>;
}

/** What the kernel tells of a running process: proc_pid_stat(5). */
export interface RunningProcess extends ProcessIdentity {
  readonly session: number;
  /** Whether it is on its way out: it runs no code of its own any more, but its files may still be open. */
  readonly ending: boolean;
}

/** `PF_EXITING` of the flags of a process (linux/sched.h). */
const exitingFlag = 0x4;

/** The identity of a running process; `undefined` when there is none, or only what is left of it (a zombie, none of whose threads runs). */
export async function identifyProcess(pid: number): Promise<RunningProcess | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // The second field is the command in parentheses, which may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, threads] = [fields[0], Number(fields[17])];
    // Its first thread is a zombie at once, while others of them may still be writing.
    if (state === "X" || (state === "Z" && threads <= 1)) return undefined;
    const ending = state === "Z" || (Number(fields[6]) & exitingFlag) !== 0;
    return { pid, session: Number(fields[3]), startTicks: Number(fields[19]), ending };
  } catch {
    return undefined;
  }
}

/** Whether exactly that process still runs. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(identity.pid))?.startTicks === identity.startTicks;
}

/** How long a process that is ending is waited for; what takes longer waits in the kernel for a device. */
const endingMs = 1_000;

/**
 * All running processes that were started with a variable of this value in their environment, this one excepted. Those of other users are not seen
 * unless this one is root. The environment of a process is gone before the process is, so one that is ending may be any: it is waited for, and what
 * is not among the found runs no more.
 */
export async function findProcessesByEnvironment(variable: string, value: string): Promise<readonly FoundProcess[]> {
  const found: FoundProcess[] = [];
  const ending: ProcessIdentity[] = [];
  const needle = Buffer.from(`${variable}=${value}\0`);
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environ = await readEnvironment(pid);
    if (environ === "gone") {
      const left = await identifyProcess(pid);
      if (left?.ending === true) ending.push(left);
      continue;
    }
    if (!environ.includes(needle)) continue;
    const variables = new Map(
      environ
        .toString()
        .split("\0")
        .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
    );
    if (variables.get(variable) !== value) continue;
    const identity = await identifyProcess(pid);
    if (identity === undefined) continue;
    const { startTicks, session } = identity;
    found.push({ pid, startTicks, sessionLeader: session === pid, variables });
  }
  await Promise.all(ending.map((process) => awaitExit(process, endingMs)));
  return found;
}

/** The environment that a process was started with: empty for one of another user, "gone" once its memory is given back. */
async function readEnvironment(pid: number): Promise<Buffer | "gone"> {
  try {
    const environ = await readFile(`/proc/${pid}/environ`);
    return environ.length === 0 ? "gone" : environ;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EACCES" || code === "EPERM" ? Buffer.alloc(0) : "gone";
  }
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
