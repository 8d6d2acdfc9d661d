import { readFileSync } from "node:fs";

/** What the kernel tells of a process: proc_pid_stat(5). */
export interface ProcessStat {
  readonly session: number;
  /** Clock ticks from boot to its start. */
  readonly startTicks: number;
  /** Whether its first thread runs no code any more. Others of its threads may, and its files may still be open. */
  readonly isEnding: boolean;
  readonly isKernelThread: boolean;
  /** Where in its memory its environment lies; `0` while one program takes the place of another (execve(2)), and where there is no memory. */
  readonly environment: readonly [from: number, to: number];
}

/** `PF_EXITING` and `PF_KTHREAD` of the flags of a process (linux/sched.h). */
const exitingFlag = 0x4;
const kernelThreadFlag = 0x200000;

/**
 * Looks at a process; `undefined` when there is none, or only what is left of it: a zombie, none of whose threads runs. It is read at once, without
 * the thread pool: procfs answers in microseconds, and on a busy machine each change of threads takes a thousand times as long.
 */
export function readProcessStat(pid: number): ProcessStat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The second field is the command in parentheses, which may hold spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const numberOf = (field: number): number => Number(fields[field - 3]);
  const [state] = fields;
  // The first thread of a process that was killed may be a zombie while others finish a write: they are counted.
  if (state === "X" || (state === "Z" && numberOf(20) <= 1)) return undefined;
  const flags = numberOf(9);
  return {
    session: numberOf(6),
    startTicks: numberOf(22),
    isEnding: state === "Z" || (flags & exitingFlag) !== 0,
    isKernelThread: (flags & kernelThreadFlag) !== 0,
    environment: [numberOf(50), numberOf(51)],
  };
}
