import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  read,
  readSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Admission } from "./admission.ts";
import { type NativeFileCalls, nativeFileCalls } from "./native-file-calls.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";

/** What an open file reports about itself; sizes in bytes. `identity` is equal for two handles on one file. */
export interface FileStatus {
  readonly sizeBytes: number;
  readonly diskBytes: number;
  readonly identity: string;
  /** Differs whenever the content may differ. Absent where that can't be told, as of a file that was changed just now. */
  readonly version?: string | undefined;
}

/**
 * One open regular file. Data moves synchronously: a cached read or write costs about two microseconds that way and ten times that
 * through promises. Only `sync` has an asynchronous form, since it waits for the disk.
 */
export interface ImageFile {
  readonly path: string;
  status(): FileStatus;
  /** Fills `buffer` from `position`; returns fewer bytes only at the end of the file. */
  readSync(buffer: Uint8Array, position: number): number;
  /**
   * As `readSync` for as much as is in memory: returns fewer bytes where the disk would have to be waited for. Absent where that can't be asked.
   */
  readCachedSync?(buffer: Uint8Array, position: number): number;
  /** As `readSync`, off the main thread. Absent where nothing ever waits. */
  read?(buffer: Uint8Array, position: number): Promise<number>;
  /** Writes all of `buffer`, or throws. */
  writeSync(buffer: Uint8Array, position: number): void;
  truncateSync(sizeBytes: number): void;
  /** Gives a range's space back to the file system, where that can be done; it reads as zeroes then, or as before. Absent where it can't. */
  punchSync?(position: number, length: number): void;
  /**
   * Has the file system find the space of a range beforehand, and grows the file to its end; writing it costs half as much then. False where that
   * can't be done, and the file is then of any length. Absent where it can't be asked.
   */
  reserveSync?(position: number, length: number): boolean;
  /** Where the next data or the next hole begins, from a position on; -1 when there is none. Absent where that can't be asked. */
  seekSync?(position: number, what: "data" | "hole"): number;
  /** Locks on bytes of the file that end with it. Absent where they can't be had. */
  readonly byteLocks?: ByteLocks;
  /** Makes everything written so far durable (fdatasync). */
  syncSync(): void;
  sync(): Promise<void>;
  closeSync(): void;
}

/** Advisory locks on single bytes of an open file, as other programs see them. */
export interface ByteLocks {
  /** Locks a byte for sharing. False when another file has it alone. */
  lockShared(byte: number): boolean;
  isLockedByOthers(byte: number): boolean;
}

export interface OpenFileOptions {
  readonly write: boolean;
  /** Creates the file, and refuses when it exists. Defaults to false. */
  readonly create?: boolean;
}

/** The file system as the engine sees it, so that a test can put a recording or failing one underneath. */
export interface FileLayer {
  /** Opens a regular file without following a symbolic link in its last component; never blocks on a FIFO. */
  openSync(path: string, options: OpenFileOptions): ImageFile;
  /** Gives a fully written temporary file its name: atomic, durable when asked, and refused when the name is taken. */
  publishSync(temporaryPath: string, path: string, options: { readonly durable: boolean }): void;
  removeSync(path: string): void;
}

/** How long a file is left alone before its time stamps tell its contents apart, in milliseconds. */
const SETTLED_MS = 50;

/** The longest write that is given to the kernel at once. */
const MAX_WRITE_BYTES: number = 64 * 1024;

/** Reads that wait for the disk take half of the thread pool at most: a sync must not wait behind them. */
const waitingReads: Admission = new Admission(() => Math.max(2, (Number(process.env.UV_THREADPOOL_SIZE) || 4) / 2));

class NodeFile implements ImageFile {
  readonly path: string;
  readonly punchSync?: (position: number, length: number) => void;
  readonly reserveSync?: (position: number, length: number) => boolean;
  readonly seekSync?: (position: number, what: "data" | "hole") => number;
  readonly byteLocks?: ByteLocks;
  readonly readCachedSync?: (buffer: Uint8Array, position: number) => number;
  readonly #fd: number;
  /** Reads on the thread pool; the descriptor stays open until they have ended, since its number is given out again at once. */
  #reading = 0;
  #closed = false;

  constructor(path: string, fd: number, native: NativeFileCalls | undefined) {
    this.path = path;
    this.#fd = fd;
    if (native === undefined) return;
    this.readCachedSync = (buffer, position) =>
      native.readCached(fd, buffer, position) ?? this.readSync(buffer, position);
    this.punchSync = (position, length) => {
      native.punchHole(fd, position, length);
    };
    this.reserveSync = (position, length) => native.reserve(fd, position, length);
    this.seekSync = (position, what) => native.seek(fd, position, what);
    this.byteLocks = {
      lockShared: (byte) => native.lockShared(fd, byte),
      isLockedByOthers: (byte) => native.isLockedByOthers(fd, byte),
    };
  }

  status(): FileStatus {
    const stat = fstatSync(this.#fd, { bigint: true });
    // A change within one tick of the clock would not show: only a file that was left alone for some ticks has a version.
    const isSettled = Date.now() - Number(stat.ctimeMs) > SETTLED_MS;
    return {
      sizeBytes: Number(stat.size),
      diskBytes: Number(stat.blocks) * 512,
      identity: `${stat.dev}:${stat.ino}`,
      version: isSettled ? `${stat.mtimeNs}:${stat.ctimeNs}:${stat.size}` : undefined,
    };
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    this.#reading++;
    await waitingReads.enter();
    try {
      let done = 0;
      while (done < buffer.length) {
        const count = await new Promise<number>((resolve, reject) => {
          read(this.#fd, buffer, done, buffer.length - done, position + done, (error, bytes) =>
            error ? reject(error) : resolve(bytes),
          );
        });
        if (count === 0) break;
        done += count;
      }
      return done;
    } finally {
      waitingReads.leave();
      this.#reading--;
      if (this.#closed && this.#reading === 0) closeSync(this.#fd);
    }
  }

  readSync(buffer: Uint8Array, position: number): number {
    // A read that waited may come back to a file that was closed meanwhile, whose descriptor may be another file's.
    if (this.#closed) throw new Qcow2Error("CLOSED", `'${this.path}' is closed`);
    let done = 0;
    while (done < buffer.length) {
      const count = readSync(this.#fd, buffer, done, buffer.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  writeSync(buffer: Uint8Array, position: number): void {
    let done = 0;
    while (done < buffer.length) {
      // The page cache takes a long write in one piece, and a file system that keeps state for each block of such a piece (ext4)
      // walks through all of it at every small write that follows: measured at seven times the cost of a 4 KiB write.
      const piece = Math.min(MAX_WRITE_BYTES, buffer.length - done);
      done += writeSync(this.#fd, buffer, done, piece, position + done);
    }
  }

  truncateSync(sizeBytes: number): void {
    ftruncateSync(this.#fd, sizeBytes);
  }

  syncSync(): void {
    fdatasyncSync(this.#fd);
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()));
    });
  }

  closeSync(): void {
    this.#closed = true;
    if (this.#reading === 0) closeSync(this.#fd);
  }
}

function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The real file system. */
export const nodeFileLayer: FileLayer = {
  openSync(path, options) {
    const access = options.write ? constants.O_RDWR : constants.O_RDONLY;
    const create = options.create ? constants.O_CREAT | constants.O_EXCL : 0;
    let fd: number;
    try {
      fd = openSync(path, access | create | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
    } catch (error) {
      throw toQcow2Error(error, `cannot open '${path}'`);
    }
    if (!fstatSync(fd).isFile()) {
      closeSync(fd);
      throw new Qcow2Error("NOT_REGULAR_FILE", `'${path}' is not a regular file`);
    }
    return new NodeFile(path, fd, nativeFileCalls());
  },

  publishSync(temporaryPath, path, { durable }) {
    try {
      // A hard link fails when the name is taken, which rename would silently replace.
      linkSync(temporaryPath, path);
      unlinkSync(temporaryPath);
      if (durable) syncFolder(dirname(path));
    } catch (error) {
      throw toQcow2Error(error, `cannot create '${path}'`);
    }
  },

  removeSync(path) {
    unlinkSync(path);
  },
};
