import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { VdcError } from "@vdc-os/core";
import { readProcessStat } from "@vdc-os/core/local";

/** The claim of one process on a pool. */
export interface PoolLock {
  release(): void;
}

/**
 * Claims a pool for this process. A claim whose process is gone (also one of an earlier boot) is taken over.
 * Throws `FAILED_PRECONDITION`, which names the process that holds it.
 */
export function lockPool(path: string): PoolLock {
  const token = randomBytes(12).toString("hex");
  const own = `${path}.${token}`;
  writeFileSync(own, [process.pid, bootId(), startTimeOf(process.pid), token].join("\n"), { flag: "wx", mode: 0o600 });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        // A link appears with its whole content, and only where there is none.
        linkSync(own, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST" || attempt === 8) throw error;
      }
      const text = readText(path);
      const [pid = "", boot, startTime = ""] = text.split("\n");
      if (/^\d+$/.test(pid) && boot === bootId() && isAlive(Number(pid), startTime)) {
        throw new VdcError("FAILED_PRECONDITION", `the pool is open in process ${pid} ('${path}')`, {
          reason: "VDC_POOL_LOCKED",
          details: { pid: Number(pid) },
          blockers: [{ kind: "process", name: pid }],
        });
      }
      takeAway(path, text, `${own}.stale`);
    }
  } finally {
    unlinkSync(own);
  }
  return {
    release: () => {
      if (readText(path).split("\n")[3] === token) unlinkSync(path);
    },
  };
}

/** Removes a stale claim, unless another process put a fresh one in its place in the meantime: that one is put back. */
function takeAway(path: string, expected: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  try {
    if (readText(aside) !== expected) linkSync(aside, path);
  } catch {
    // A third process was faster: its claim stands.
  }
  unlinkSync(aside);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id").trim();
}

/** The start time of a process in ticks since boot; empty when it does not run, or can't be told. */
function startTimeOf(pid: number): string {
  return String(readProcessStat(pid)?.startTicks ?? "");
}

function isAlive(pid: number, startTime: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return startTime === "" || startTimeOf(pid) === startTime;
}
