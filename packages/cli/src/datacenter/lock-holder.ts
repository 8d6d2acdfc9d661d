import { createHash } from "node:crypto";
import { readdir, readFile, readlink } from "node:fs/promises";

/** A process that has something open. */
export interface LockHolder {
  readonly pid: number;
  /** What it was started as, as far as it can be told. */
  readonly command: string;
}

/**
 * The process that holds core's process lock of a subject (`takeProcessLock`), as Linux tells: the lock is an abstract Unix socket. `undefined` where nobody
 * holds it, or it can't be found out: elsewhere than on Linux, or as another user.
 */
export async function findLockHolder(subject: string): Promise<LockHolder | undefined> {
  const hash = createHash("sha256")
    .update(`${process.getuid?.() ?? 0}\n${subject}`)
    .digest("hex");
  const sockets = await readFile("/proc/net/unix", "utf8").catch(() => "");
  const line = sockets.split("\n").find((each) => each.endsWith(`@vdc-os-${hash}`));
  const inode = line?.trim().split(/\s+/)[6];
  if (inode === undefined) return undefined;
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")) !== `socket:[${inode}]`) continue;
      const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0").filter(Boolean);
      return { pid: Number(pid), command: words.join(" ") };
    }
  }
  return undefined;
}
