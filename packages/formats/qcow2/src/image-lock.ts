import { randomBytes } from "node:crypto";
import {
  closeSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";

/** The claim of one process on writing one image. */
export interface ImageLock {
  /** The last owner went away without closing: what it had in flight may have leaked clusters. */
  readonly previousOwnerCrashed: boolean;
  /** Gives the claim up. Unless `clean`, the next writer learns that this one did not finish. */
  release(clean: boolean): void;
}

interface Owner {
  readonly pid: number;
  readonly bootId: string;
  readonly startTime: string;
  readonly token: string;
}

/** The lock file of an image: a hidden file beside it. */
export function lockPathOf(imagePath: string): string {
  return join(dirname(imagePath), `.${basename(imagePath)}.lock`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The start time of a process in ticks since boot (proc(5), field 22); empty when it does not run, is dead but not reaped yet, or cannot be told. */
function startTimeOf(pid: number | "self"): string {
  const stat = readText(`/proc/${pid}/stat`);
  // The command name may hold spaces and parentheses, so count from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // Of a process that was killed the first thread may be a zombie while others finish a write (field 20 counts them).
  const isDead = fields[0] === "X" || (fields[0] === "Z" && Number(fields[17]) <= 1);
  return isDead ? "" : (fields[19] ?? "");
}

function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id").trim();
}

function parseOwner(text: string): Owner | undefined {
  const [pid, boot, startTime, token] = text.split("\n");
  if (!pid || !/^\d+$/.test(pid) || boot === undefined || startTime === undefined || !token) return undefined;
  return { pid: Number(pid), bootId: boot, startTime, token };
}

function isAlive(owner: Owner): boolean {
  if (owner.bootId !== bootId()) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  return owner.startTime === "" || owner.startTime === startTimeOf(owner.pid);
}

/** Whether a living process holds an image for writing. */
export function isLockedForWriting(imagePath: string): boolean {
  const owner = parseOwner(readText(lockPathOf(imagePath)));
  return owner !== undefined && isAlive(owner);
}

/** A claim that its writer has not filled in after so long is nobody's, in milliseconds. */
const unfinishedClaimMs = 10_000;

/**
 * Removes what processes that were killed while they claimed an image have left beside it. Claims that stand, and those that are being made, stay.
 */
export function removeAbandonedClaims(imagePath: string): void {
  const folder = dirname(imagePath);
  const prefix = `${basename(lockPathOf(imagePath))}.`;
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return;
  }
  for (const name of names) {
    if (!name.startsWith(prefix) || !/^[0-9a-f]{24}(\.stale)?$/.test(name.slice(prefix.length))) continue;
    const path = join(folder, name);
    const owner = parseOwner(readText(path));
    const abandoned = owner === undefined ? ageOf(path) > unfinishedClaimMs : !isAlive(owner);
    if (abandoned) rmSync(path, { force: true });
  }
}

/** How long ago a file was written, in milliseconds; 0 when it is gone. */
function ageOf(path: string): number {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

/**
 * Claims an image for writing, against other processes that use this engine. A claim whose process is gone is taken over.
 * Errors: `IN_USE`, which names the process.
 */
export function lockForWriting(imagePath: string): ImageLock {
  const path = lockPathOf(imagePath);
  const token = randomBytes(12).toString("hex");
  const temporary = `${path}.${token}`;
  let previousOwnerCrashed = false;
  try {
    const claim = `${process.pid}\n${bootId()}\n${startTimeOf("self")}\n${token}\n`;
    try {
      writeFileSync(temporary, claim, { flag: "wx", mode: 0o600 });
    } catch (error) {
      rmSync(temporary, { force: true });
      const { code } = error as NodeJS.ErrnoException;
      const isFull = code === "ENOSPC" || code === "EDQUOT";
      if (!isFull || !writeOverAbandoned(imagePath, temporary, claim)) throw error;
      previousOwnerCrashed = true;
    }
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          // A link appears with its whole content and only where there is none.
          linkSync(temporary, path);
          break;
        } catch (error) {
          if (!(error instanceof Error && "code" in error && error.code === "EEXIST") || attempt === 8) throw error;
        }
        const text = readText(path);
        assertAbandoned(imagePath, text);
        previousOwnerCrashed = true;
        takeAway(path, text, `${temporary}.stale`);
      }
    } finally {
      unlinkSync(temporary);
    }
  } catch (error) {
    throw toQcow2Error(error, `cannot lock '${imagePath}'`);
  }
  removeAbandonedClaims(imagePath);
  return {
    previousOwnerCrashed,
    release: (clean) => {
      if (parseOwner(readText(path))?.token !== token) return;
      // A boot that never was: a claim of nobody alive, as a crash leaves it.
      if (clean) unlinkSync(path);
      else writeFileSync(path, `0\nunclean\n\n${token}\n`);
    },
  };
}

/** Throws `IN_USE` for a claim of a process that lives. */
function assertAbandoned(imagePath: string, text: string): void {
  const owner = parseOwner(text);
  if (owner === undefined || !isAlive(owner)) return;
  throw new Qcow2Error("IN_USE", `'${imagePath}' is open for writing in process ${owner.pid}`, {
    details: { pid: owner.pid },
  });
}

/**
 * Makes a new claim of what a process that is gone has left, in its place on the disk: on a file system that is full there is room for no other, and the image is to be opened all the same.
 * Returns whether there was one to take.
 */
function writeOverAbandoned(imagePath: string, temporary: string, claim: string): boolean {
  const path = lockPathOf(imagePath);
  const text = readText(path);
  if (text === "") return false;
  assertAbandoned(imagePath, text);
  try {
    // One of those who want it gets it.
    renameSync(path, temporary);
  } catch {
    return false;
  }
  if (readText(temporary) !== text) {
    putBack(temporary, path);
    return false;
  }
  const file = openSync(temporary, "r+");
  try {
    writeSync(file, claim.padEnd(text.length, "\n"));
  } finally {
    closeSync(file);
  }
  return true;
}

/** Removes a stale lock, unless another process put a fresh one in its place in the meantime: that one is put back. */
function takeAway(path: string, expected: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readText(aside) !== expected) putBack(aside, path);
  // Somebody who sweeps may have been faster.
  rmSync(aside, { force: true });
}

/** Gives a claim that was taken by mistake its name again. */
function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch {
    // A third process was faster; its claim stands, and the one put aside finds that out when it checks its token.
  }
  rmSync(aside, { force: true });
}
