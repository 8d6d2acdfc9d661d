import { readFile, readdir } from "node:fs/promises";

/** A process as the operating system knows it. A pid alone names nothing: it is used again. Pid and start time together are unique in a boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start: field 22 of `/proc/PID/stat` (proc_pid_stat(5)). */
  readonly startTicks: number;
}

/** A process whose environment names a host directory. */
export interface OwnedProcess extends ProcessIdentity {
  readonly sessionLeader: boolean;
  /** `VDC_OWNER`; `undefined` for the runtime itself. */
  readonly owner: string | undefined;
  readonly processId: string | undefined;
  /** `VDC_SPAWN`: which start of the process it belongs to. */
  readonly spawn: string | undefined;
}

/** The environment variable that names the host directory a process belongs to. */
export const hostDirectoryVariable = "VDC_HOST_DIRECTORY";

/** The environment variable that names the start a process belongs to. */
export const spawnVariable = "VDC_SPAWN";

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

/** All running processes whose environment names the host directory in a variable, this one excepted. */
export async function findOwnedProcesses(
  root: string,
  variable: string = hostDirectoryVariable,
): Promise<readonly OwnedProcess[]> {
  const found: OwnedProcess[] = [];
  const needle = Buffer.from(`${variable}=${root}\0`);
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
    if (variables.get(variable) !== root) continue;
    const identity = await identifyProcess(pid);
    if (identity === undefined) continue;
    found.push({
      pid,
      startTicks: identity.startTicks,
      sessionLeader: identity.session === pid,
      owner: variables.get("VDC_OWNER"),
      processId: variables.get("VDC_PROCESS_ID"),
      spawn: variables.get(spawnVariable),
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

/**
 * Kills every process of a host directory that `selects` names, and waits until they are gone. A killed process may have forked in
 * the meantime, so it looks again until there is none. Returns how many it killed.
 */
export async function killOwnedProcesses(
  root: string,
  selects: (owned: OwnedProcess) => boolean = () => true,
  variable: string = hostDirectoryVariable,
): Promise<number> {
  const killed = new Set<string>();
  const giveUp = performance.now() + 10_000;
  let pauseMs = 2;
  for (;;) {
    const left = (await findOwnedProcesses(root, variable)).filter(selects);
    if (left.length === 0) return killed.size;
    if (performance.now() > giveUp) {
      throw new Error(`processes ${left.map((owned) => owned.pid).join(", ")} of '${root}' do not die`);
    }
    for (const owned of left) {
      if (await signalProcess(owned, "SIGKILL")) killed.add(`${owned.pid}:${owned.startTicks}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(100, pauseMs * 2);
  }
}
