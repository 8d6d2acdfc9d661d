import { closeSync, fdatasync, fsync, openSync, writeSync } from "node:fs";
import { syncDirectory } from "@vdc-os/core/local";

// Opening and writing a small new file takes some microseconds, and ten times that by promises; only what waits for the disk is awaited.

/** Writes a new file and makes its content durable; its name is so after `syncDirectory` of its folder. */
export function writeNewFile(path: string, text: string): Promise<void> {
  const fd = openSync(path, "wx", 0o600);
  try {
    writeSync(fd, text);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return syncAndClose(fd, fdatasync);
}

/** Makes a file's content, or a folder's entries, durable. */
export async function syncPath(path: string): Promise<void> {
  await syncAndClose(openSync(path, "r"), fsync);
}

function syncAndClose(fd: number, sync: typeof fsync): Promise<void> {
  return new Promise((resolve, reject) => {
    sync(fd, (error) => {
      closeSync(fd);
      if (error) reject(error);
      else resolve();
    });
  });
}

/**
 * Makes a folder's entries durable for many callers at once: those that ask while a sync runs share the next one, which begins after
 * their change.
 */
export class FolderSync {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  #start(): Promise<void> {
    const running = syncDirectory(this.#path).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
