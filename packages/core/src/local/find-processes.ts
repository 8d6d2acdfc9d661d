import { readdirSync, readFileSync } from "node:fs";
import { isRunning, type ProcessIdentity } from "./process-identity.ts";
import { readProcessStat } from "./process-stat.ts";

/** A process that was found by its environment. */
export interface FoundProcess extends ProcessIdentity {
  /** Whether it leads a session of its own, as a detached process does. */
  readonly sessionLeader: boolean;
  readonly variables: ReadonlyMap<string, string>;
}

/** How long processes are waited for whose environment can't be read for now; what takes longer waits in the kernel for a device. */
const unclearMs = 3_000;

/** Processes that were waited for in vain, by pid, with their start: nobody waits for them again. */
const stuck = new Map<number, number>();

/** After so many looks at one process after the other, others have their turn. */
const sliceLength = 256;

/**
 * All running processes that were started with a variable of this value in their environment, this one excepted. Those of other users are not seen
 * unless this one is root. One whose environment can't be read for now, because it ends or has only begun, may be any: it is waited for, and what was
 * started meanwhile is looked at too. What is not among the found runs no more, or has waited in the kernel for three seconds to end.
 */
export async function findProcessesByEnvironment(variable: string, value: string): Promise<readonly FoundProcess[]> {
  const found: FoundProcess[] = [];
  const looked = new Set([process.pid]);
  let unclear: readonly number[] = [];
  const giveUp = performance.now() + unclearMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(50, pauseMs * 2)) {
    // A process that forks, and ends before it is looked at, leaves a child that was not in the list.
    const fresh = readdirSync("/proc").map(Number);
    const pids = [...unclear, ...fresh.filter((pid) => Number.isInteger(pid) && !looked.has(pid))];
    const left: number[] = [];
    for (const [index, pid] of pids.entries()) {
      if (index % sliceLength === sliceLength - 1) await new Promise((resolve) => setImmediate(resolve));
      looked.add(pid);
      const environment = readEnvironment(pid);
      if (environment !== "unclear") found.push(...select(pid, environment, { variable, value }));
      else if (stuck.get(pid) !== readProcessStat(pid)?.startTicks) left.push(pid);
    }
    unclear = left;
    if (pids.length === 0 || performance.now() > giveUp) break;
    if (unclear.length > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  for (const pid of unclear) stuck.set(pid, readProcessStat(pid)?.startTicks ?? 0);
  // Others may have been waited for.
  const running = await Promise.all(found.map(isRunning));
  return found.filter((_, index) => running[index]);
}

/** A process, if the variable of its environment has the value. */
function select(
  pid: number,
  environment: Buffer | undefined,
  { variable, value }: { readonly variable: string; readonly value: string },
): readonly FoundProcess[] {
  if (environment?.includes(`${variable}=${value}\0`) !== true) return [];
  const pairs = environment.toString().split("\0");
  const variables = new Map(
    pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const),
  );
  const stat = readProcessStat(pid);
  if (stat === undefined || variables.get(variable) !== value) return [];
  return [{ pid, startTicks: stat.startTicks, sessionLeader: stat.session === pid, variables }];
}

/**
 * The environment that a process was started with: `undefined` for one that has none, has ended, or is another user's, and "unclear" while its memory is
 * given back, or taken for another program.
 */
function readEnvironment(pid: number): Buffer | "unclear" | undefined {
  const environment = tryRead(`/proc/${pid}/environ`);
  if (environment === undefined || environment.length > 0) return environment;
  const stat = readProcessStat(pid);
  if (stat === undefined || stat.isKernelThread) return undefined;
  if (stat.isEnding) return environmentOfThreads(pid) ?? "unclear";
  const [from, to] = stat.environment;
  return from === to && to !== 0 ? undefined : "unclear";
}

/** What the first thread has given back, others of a process may still hold. */
function environmentOfThreads(pid: number): Buffer | undefined {
  let threads: readonly string[] = [];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    // It has ended.
  }
  for (const thread of threads) {
    const environment = tryRead(`/proc/${pid}/task/${thread}/environ`);
    if (environment !== undefined && environment.length > 0) return environment;
  }
  return undefined;
}

/** What a file of procfs holds: nothing for what is gone, `undefined` for what is another user's. */
function tryRead(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EACCES" || code === "EPERM" ? undefined : Buffer.alloc(0);
  }
}
