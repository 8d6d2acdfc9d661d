import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";

/** How much of a console is kept, in bytes. */
const keptBytes = 16 * 1024 * 1024;
const blockBytes = 4096;

/** The first byte of a console of this length that is kept. */
export function firstKeptByte(length: number): number {
  return Math.max(0, Math.floor((length - keptBytes) / blockBytes) * blockBytes);
}

/**
 * Gives the space back of what a guest wrote long ago, so that one that never stops writing does not fill the host's disk. A hole is made at the file's
 * beginning (`fallocate --punch-hole`, util-linux): byte offsets stay. Where that can't be done nothing happens.
 */
export async function trimConsole(path: string): Promise<void> {
  try {
    const { size, blocks } = await stat(path);
    if (blocks * 512 < 2 * keptBytes) return;
    const length = String(firstKeptByte(size));
    await promisify(execFile)("fallocate", ["--punch-hole", "--offset", "0", "--length", length, path], {
      timeout: 10_000,
    });
  } catch {
    // The VM was deleted, or the file system makes no holes.
  }
}
