import { closeSync, constants, fdatasync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import type { BlockBackend } from "./block-backend.ts";
import { NbdError } from "./nbd-error.ts";

export interface RawFileOptions {
  /** Opens the file for reading alone. Defaults to false. */
  readonly readOnly?: boolean;
  /** Creates the file where there is none, and grows it to this size. Defaults to the size that it has. */
  readonly sizeBytes?: number;
}

/** A file as a disk. */
export interface RawFile extends BlockBackend {
  /** Grows the disk, in bytes. Clients learn of it when they connect again. Fails with `NBD_INVALID_ARGUMENT` for less than it has. */
  grow(sizeBytes: number): void;
  /** Closes the file; remove its export first. */
  close(): void;
}

/**
 * A plain file as a disk: byte n of the disk is byte n of the file. What is read and written passes the page cache in the call itself,
 * which is fast, but a read that misses the cache holds up everything else in this thread. A flush does not.
 *
 * What the file system refuses is its own error; a path that is no plain file is `NBD_INVALID_ARGUMENT`.
 */
export function openRawFile(path: string, options: RawFileOptions = {}): RawFile {
  const { readOnly = false, sizeBytes } = options;
  const access = readOnly ? constants.O_RDONLY : constants.O_RDWR;
  // Not blocking: opening a FIFO must fail below, not hang.
  const creation = readOnly || sizeBytes === undefined ? 0 : constants.O_CREAT;
  const fd = openSync(path, access | creation | constants.O_NONBLOCK, 0o600);
  let size: number;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new NbdError("NBD_INVALID_ARGUMENT", `'${path}' is not a plain file`);
    size = stat.size;
    if (!readOnly && sizeBytes !== undefined && sizeBytes > size) {
      ftruncateSync(fd, sizeBytes);
      size = sizeBytes;
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return {
    get sizeBytes() {
      return size;
    },
    readOnly,
    sharedFlush: true,
    read: (target, offset) => {
      for (let done = 0; done < target.length; ) {
        const bytes = readSync(fd, target, done, target.length - done, offset + done);
        if (bytes === 0) throw new NbdError("NBD_INVALID_ARGUMENT", `'${path}' was cut short while it was served`);
        done += bytes;
      }
    },
    write: (source, offset) => {
      for (let done = 0; done < source.length; ) {
        done += writeSync(fd, source, done, source.length - done, offset + done);
      }
    },
    flush: () =>
      new Promise((resolve, reject) => fdatasync(fd, (error) => (error ? reject(error) : resolve(undefined)))),
    resize: (sizeBytes) => {
      if (sizeBytes < size) throw Object.assign(new Error(`'${path}' may not become smaller`), { code: "EINVAL" });
      ftruncateSync(fd, sizeBytes);
      size = sizeBytes;
    },
    grow: (sizeBytes) => {
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < size) {
        throw new NbdError("NBD_INVALID_ARGUMENT", `'${path}' has ${size} bytes and cannot grow to '${sizeBytes}'`);
      }
      ftruncateSync(fd, sizeBytes);
      size = sizeBytes;
    },
    close: () => closeSync(fd),
  };
}
