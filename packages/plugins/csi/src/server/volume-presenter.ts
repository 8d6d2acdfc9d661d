import { spawn } from "node:child_process";
import { access, open, readFile, rm, stat, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { VdcError } from "@vdc-os/core";
import {
  awaitExit,
  identifyProcess,
  isRunning,
  killProcess,
  type ProcessIdentity,
  signalProcess,
} from "@vdc-os/core/local";
import type { AccessMode, VolumeTransport } from "@vdc-os/core/storage/v1";
import { z } from "zod";

/** What stands at a path for a volume: all that is needed to take it away, also by another process. */
export type Presented =
  | { readonly kind: "link"; readonly path: string }
  | { readonly kind: "fuse"; readonly path: string; readonly process: ProcessIdentity };

/** Schema of {@link Presented}. */
export const presented: z.ZodType<Presented> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("link"), path: z.string() }),
  z.object({
    kind: z.literal("fuse"),
    path: z.string(),
    process: z.object({ pid: z.int(), startTicks: z.number() }),
  }),
]);

/** Input of {@link VolumePresenter.present}. */
export interface PresentVolume {
  readonly transport: VolumeTransport;
  readonly access: AccessMode;
  /** Where it shall stand. Nothing is there. */
  readonly path: string;
  /** Whether less than the transport allows is asked for: reading alone, of a volume that is attached for writing. */
  readonly narrowed: boolean;
}

/** Makes a volume that a node reaches into a file or a block device at a path. */
export interface VolumePresenter {
  /** Throws `FAILED_PRECONDITION` when this machine can't, and says what is missing. */
  present(input: PresentVolume): Promise<Presented>;
  /** Whether it still stands and works: a file system in user space may have died, or the machine been started anew. */
  isPresent(what: Presented): Promise<boolean>;
  /** When it returns, nobody reaches the volume through this path, by a file that is open neither. */
  withdraw(what: Presented): Promise<void>;
}

/** How long a file system in user space may take to stand, and to go. */
const fuseTimeoutMs = 10_000;

/**
 * The presenter of this machine: a file or a block device is linked to, and an NBD export becomes a file by `nbdfuse` (package `libnbd`), which needs no
 * module of the kernel's but FUSE. Neither needs more rights than those of the process.
 */
export function localPresenter(options: { readonly nbdfuse?: string } = {}): VolumePresenter {
  return {
    async present(input) {
      const { transport, path, access: mode, narrowed } = input;
      if (transport.kind === "block" || (transport.kind === "file" && transport.format === "raw")) {
        if (narrowed) {
          throw cannot(path, "it is attached for writing, and a link can't take that away: publish it read-only");
        }
        await symlink(transport.path, path);
        return { kind: "link", path };
      }
      if (transport.kind === "nbd-unix") {
        const program = options.nbdfuse ?? (await findProgram("nbdfuse"));
        if (program === undefined) throw cannot(path, "it is reached over NBD, and 'nbdfuse' is not installed");
        const uri = `nbd+unix:///${encodeURIComponent(transport.exportName)}?socket=${encodeURIComponent(transport.path)}`;
        return startFuse(program, [...(mode === "readOnly" ? ["-r"] : []), path, uri], path);
      }
      throw cannot(path, `a transport '${transport.kind}' can't be made a file or block device here`);
    },

    async isPresent(what) {
      if (what.kind === "link") return stat(what.path).then(...settled);
      return (await isRunning(what.process)) && (await isMounted(what.path));
    },

    async withdraw(what) {
      if (what.kind === "fuse") await stopFuse(what.process, what.path);
      await rm(what.path, { force: true });
    },
  };
}

/** Whether a program is on the path. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, name);
    if (await access(path, 1).then(...settled)) return path;
  }
  return undefined;
}

const settled: [() => boolean, () => boolean] = [() => true, () => false];

async function startFuse(program: string, args: readonly string[], path: string): Promise<Presented> {
  const log = `${path}.log`;
  const errors = await open(log, "w", 0o600);
  try {
    await (await open(path, "wx", 0o600)).close();
    // Of its own session: the data path outlives this process, as a publication does.
    const child = spawn(program, args, { detached: true, stdio: ["ignore", "ignore", errors.fd] });
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(`it ended with ${signal ?? code}`));
    });
    child.unref();
    const identity = child.pid === undefined ? undefined : await identifyProcess(child.pid);
    const failure = await Promise.race([ended, mounted(path)]);
    if (failure === undefined && identity !== undefined) {
      return { kind: "fuse", path, process: { pid: identity.pid, startTicks: identity.startTicks } };
    }
    if (identity !== undefined) await stopFuse(identity, path);
    await rm(path, { force: true });
    const text = (await readFile(log, "utf8").catch(() => "")).trim().slice(-500);
    throw new VdcError("UNAVAILABLE", `'${program}' does not serve '${path}': ${failure}; ${text}`, {
      reason: "VDC_CSI_PUBLISH_FAILED",
    });
  } finally {
    await errors.close();
    await rm(log, { force: true });
  }
}

/** Waits until a file system stands at the path. Resolves with what is wrong when it does not in time. */
async function mounted(path: string): Promise<string | undefined> {
  const giveUp = performance.now() + fuseTimeoutMs;
  for (let pauseMs = 2; performance.now() < giveUp; pauseMs = Math.min(50, pauseMs * 2)) {
    if (await isMounted(path)) return undefined;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return `it did not stand within ${fuseTimeoutMs} ms`;
}

/** From the kernel's table: a look at the path itself could wait for a file system that hangs. */
async function isMounted(path: string): Promise<boolean> {
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  // Blanks and backslashes are written in octal (proc_pid_mountinfo(5)).
  const escaped = path.replace(/[\\ \t\n]/g, (letter) => `\\${letter.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return table.split("\n").some((line) => line.split(" ")[4] === escaped);
}

async function stopFuse(identity: ProcessIdentity, path: string): Promise<void> {
  await signalProcess(identity, "SIGTERM");
  const gone = (await awaitExit(identity, fuseTimeoutMs)) || (await killProcess(identity));
  if (!gone) throw cannot(path, `process ${identity.pid}, which serves it, does not end`);
  // One that was killed leaves its mount, on which nothing can be done any more.
  for (const [program, ...args] of [
    ["fusermount3", "-u"],
    ["fusermount", "-u"],
    ["umount", "-l"],
  ] as const) {
    if (!(await isMounted(path))) return;
    await new Promise<void>((resolve) => {
      const child = spawn(program, [...args, path], { stdio: "ignore" });
      child.once("error", () => resolve());
      child.once("exit", () => resolve());
    });
  }
  if (await isMounted(path)) throw cannot(path, "what was mounted there can't be unmounted");
}

function cannot(path: string, why: string): VdcError {
  return new VdcError("FAILED_PRECONDITION", `'${path}' can't be what was asked for: ${why}`, {
    reason: "VDC_CSI_PUBLISH_FAILED",
  });
}
