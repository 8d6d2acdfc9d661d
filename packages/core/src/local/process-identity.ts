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

/** The identity of a running process; `undefined` when there is none, or only what is left of it (a zombie). */
export async function identifyProcess(
  pid: number,
): Promise<(ProcessIdentity & { readonly session: number }) | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // The second field is the command in parentheses, which may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return { pid, session: Number(fields[3]), startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

/** Whether exactly that process still runs. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(identity.pid))?.startTicks === identity.startTicks;
}

/**
 * All running processes that were started with a variable of this value in their environment, this one excepted. Those of other users are not seen
 * unless this one is root.
 */
export async function findProcessesByEnvironment(variable: string, value: string): Promise<readonly FoundProcess[]> {
  const found: FoundProcess[] = [];
  const needle = Buffer.from(`${variable}=${value}\0`);
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
    if (variables.get(variable) !== value) continue;
    const identity = await identifyProcess(pid);
    if (identity === undefined) continue;
    const { startTicks, session } = identity;
    found.push({ pid, startTicks, sessionLeader: session === pid, variables });
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
