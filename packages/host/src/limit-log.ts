import { copyFile, stat, truncate } from "node:fs/promises";

/** How long a log may grow before it is begun anew, in bytes. What it held is kept once, as `.1`. */
export const maxLogBytes: number = 16 * 1024 * 1024;

/**
 * Begins a log anew that has grown too long, under the hands of the process that writes it: that appends, so it goes on at the new start. What it writes
 * between the copy and the cut is lost.
 */
export async function limitLog(path: string, maxBytes: number = maxLogBytes): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.size <= maxBytes) return;
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
}
