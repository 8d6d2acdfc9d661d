import { closeSync, fdatasync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import type { BlockBackend } from "../src/index.ts";

/** A raw file as a disk, synchronous but for its flush: what a storage process serves. */
export function openFileDisk(path: string, sizeBytes: number): BlockBackend & { close(): void } {
  const fd = openSync(path, "w+");
  ftruncateSync(fd, sizeBytes);
  return {
    sizeBytes,
    sharedFlush: true,
    read: (target, offset) => {
      if (readSync(fd, target, 0, target.length, offset) !== target.length) throw new Error("short read");
    },
    write: (source, offset) => {
      if (writeSync(fd, source, 0, source.length, offset) !== source.length) throw new Error("short write");
    },
    flush: () =>
      new Promise((resolve, reject) => fdatasync(fd, (error) => (error ? reject(error) : resolve(undefined)))),
    close: () => closeSync(fd),
  };
}
