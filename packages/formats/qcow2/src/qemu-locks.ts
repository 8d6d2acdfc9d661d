import { readFileSync } from "node:fs";
import type { ByteLocks, ImageFile } from "./file-layer.ts";
import { Qcow2Error } from "./qcow2-error.ts";

// QEMU's lock bytes (block/file-posix.c). Whoever holds a permission has byte 100 + its number locked for sharing, and whoever does not allow others
// a permission has byte 200 + its number.
const READ = 0;
const WRITE = 1;
const RESIZE = 3;
const HELD = 100;
const NOT_SHARED = 200;

/**
 * Agrees with QEMU, and with other processes that use this engine, on who may use an image: refused while QEMU may write it, and for writing also while QEMU
 * relies on nobody else doing so. Where native calls can be had, QEMU is refused in turn for as long as the file is open; elsewhere QEMU's locks are only
 * seen, on Linux alone, and QEMU does not see ours. Errors: `IN_USE`.
 */
export function shareWithQemu(file: ImageFile, write: boolean): void {
  const { byteLocks } = file;
  if (byteLocks === undefined) assertNotHeldByQemu(file, write);
  else takeLocks(file, byteLocks, write);
}

function takeLocks(file: ImageFile, locks: ByteLocks, write: boolean): void {
  const held = write ? [READ, WRITE, RESIZE] : [READ];
  const notShared = [WRITE, RESIZE];
  // First locked, then looked at, as QEMU does: of two that come at once at least one sees the other.
  for (const permission of held) lock(file, locks, HELD + permission);
  for (const permission of notShared) lock(file, locks, NOT_SHARED + permission);
  const inTheWay = [
    ...held.map((permission) => NOT_SHARED + permission),
    ...notShared.map((permission) => HELD + permission),
  ].some((byte) => locks.isLockedByOthers(byte));
  if (inTheWay) throw heldByOthers(file);
}

function lock(file: ImageFile, locks: ByteLocks, byte: number): void {
  if (!locks.lockShared(byte)) throw heldByOthers(file);
}

function heldByOthers(file: ImageFile): Qcow2Error {
  return new Qcow2Error("IN_USE", `'${file.path}' is held by QEMU, or by another program that locks as QEMU does`);
}

/** What can be seen without native calls: the locks that Linux lists. */
function assertNotHeldByQemu(file: ImageFile, write: boolean): void {
  let locks: string;
  try {
    locks = readFileSync("/proc/locks", "utf8");
  } catch {
    return;
  }
  if (!locks.includes("OFDLCK")) return;
  const [device = "0", inode = ""] = file.status().identity.split(":");
  const dev = BigInt(device);
  // Linux encodes a device number as major 12 bits, minor 8 + 12 bits.
  const major = (dev >> 8n) & 0xfffn;
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
  const hex = (value: bigint): string => value.toString(16).padStart(2, "0");
  const wanted = `${hex(major)}:${hex(minor)}:${inode}`;
  for (const line of locks.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const at = fields.indexOf("OFDLCK");
    if (at < 0 || fields[at + 4] !== wanted) continue;
    const first = Number(fields[at + 5]);
    const last = fields[at + 6] === "EOF" ? Number.MAX_SAFE_INTEGER : Number(fields[at + 6]);
    const covers = (byte: number): boolean => first <= byte && byte <= last;
    if (covers(HELD + WRITE) || (write && covers(NOT_SHARED + WRITE))) throw heldByOthers(file);
  }
}
