import { createRequire } from "node:module";
import { Qcow2Error } from "./qcow2-error.ts";

/** System calls on an open file that Node.js does not have. */
export interface NativeFileCalls {
  /** Locks one byte for sharing, for as long as the file is open (fcntl(2), open file description locks). False when it is locked otherwise. */
  lockShared(fd: number, byte: number): boolean;
  /** Whether any other open file has a lock on a byte. */
  isLockedByOthers(fd: number, byte: number): boolean;
  /** Gives the space of a range back to the file system; it reads as zeroes then (fallocate(2)). False where the file system can't. */
  punchHole(fd: number, offset: number, length: number): boolean;
  /** Has the file system find the space of a range, and grows the file to its end (fallocate(2)). False where it can't, or has too little. */
  reserve(fd: number, offset: number, length: number): boolean;
  /** Where the next data, or the next hole, begins, from an offset on (lseek(2)); -1 when there is none. The end of the file counts as a hole. */
  seek(fd: number, offset: number, what: "data" | "hole"): number;
  /**
   * Reads what is in memory already, from the range's start on, and never waits for the disk (preadv2(2), RWF_NOWAIT). Returns how much that was;
   * `undefined` where the file system can't tell.
   */
  readCached(fd: number, buffer: Uint8Array, offset: number): number | undefined;
}

/** The part of the library that is used. */
interface ForeignFunctions {
  load(path: null): { func(declaration: string): (...values: readonly unknown[]) => number };
  errno(): number;
  address(buffer: Uint8Array): bigint | number;
}

/** From fcntl.h and falloc.h of Linux, equal on all 64-bit machines. */
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
const EACCES = 13;
const EAGAIN = 11;
const RWF_NOWAIT = 8;
/** Up to this size, copying from a buffer whose address is known costs less than asking for another's. */
const COPIED_BYTES = 8192;

/** `struct flock` for one byte from the file's start; the process id is 0, as these locks demand. */
function flock(type: number, byte: number): Buffer {
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(byte), 8);
  lock.writeBigInt64LE(1n, 16);
  return lock;
}

function loadForeignFunctions(): ForeignFunctions | undefined {
  try {
    return createRequire(import.meta.url)("koffi") as ForeignFunctions;
  } catch {
    return undefined;
  }
}

function loadNativeFileCalls(): NativeFileCalls | undefined {
  // Structures and numbers below are those of 64-bit little-endian Linux.
  if (process.platform !== "linux" || !["x64", "arm64", "riscv64"].includes(process.arch)) return undefined;
  const foreign = loadForeignFunctions();
  if (foreign === undefined) return undefined;
  try {
    const libc = foreign.load(null);
    const fcntl = libc.func("int fcntl(int fd, int command, ...)");
    const fallocate = libc.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");
    const lseek = libc.func("int64_t lseek(int fd, int64_t offset, int whence)");
    const preadv2 = libc.func("int64_t preadv2(int fd, const void *parts, int count, int64_t offset, int flags)");
    // `struct iovec`: address and length.
    const part = Buffer.allocUnsafeSlow(16);
    const shared = Buffer.allocUnsafeSlow(COPIED_BYTES);
    const sharedAddress = BigInt(foreign.address(shared));
    return {
      readCached(fd, buffer, offset) {
        const { length } = buffer;
        const copied = length <= COPIED_BYTES;
        part.writeBigUInt64LE(copied ? sharedAddress : BigInt(foreign.address(buffer)), 0);
        part.writeUInt32LE(length, 8);
        part.writeUInt32LE(0, 12);
        const count = Number(preadv2(fd, part, 1, offset, RWF_NOWAIT));
        if (count < 0) return foreign.errno() === EAGAIN ? 0 : undefined;
        if (copied) buffer.set(count === COPIED_BYTES ? shared : shared.subarray(0, count));
        return count;
      },
      seek(fd, offset, what) {
        const found = Number(lseek(fd, offset, what === "data" ? SEEK_DATA : SEEK_HOLE));
        if (found >= 0 || foreign.errno() === ENXIO) return found;
        // A file system without holes: all of it is data.
        return what === "data" ? offset : -1;
      },
      lockShared(fd, byte) {
        if (fcntl(fd, F_OFD_SETLK, "void *", flock(F_RDLCK, byte)) === 0) return true;
        const errno = foreign.errno();
        if (errno === EAGAIN || errno === EACCES) return false;
        throw new Qcow2Error("IO_ERROR", `cannot lock byte ${byte}: error ${errno}`);
      },
      isLockedByOthers(fd, byte) {
        const lock = flock(F_WRLCK, byte);
        if (fcntl(fd, F_OFD_GETLK, "void *", lock) !== 0) {
          throw new Qcow2Error("IO_ERROR", `cannot ask for the lock of byte ${byte}: error ${foreign.errno()}`);
        }
        return lock.readInt16LE(0) !== F_UNLCK;
      },
      reserve: (fd, offset, length) => fallocate(fd, 0, offset, length) === 0,
      punchHole: (fd, offset, length) =>
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) === 0,
    };
  } catch {
    // A library without one of these: the caller goes without.
    return undefined;
  }
}

let loaded: { readonly calls: NativeFileCalls | undefined } | undefined;

/** The native calls, where the optional library `koffi` is installed and this is 64-bit Linux. */
export function nativeFileCalls(): NativeFileCalls | undefined {
  loaded ??= { calls: loadNativeFileCalls() };
  return loaded.calls;
}
