import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own, of a size that is known. */
export interface MountedFileSystem {
  readonly directory: string;
  remove(): void;
}

/** What makes the file systems that are kept in an image file. */
const makers = {
  ext4: ["mkfs.ext4", "-q", "-m", "0"],
  xfs: ["mkfs.xfs", "-q"],
  btrfs: ["mkfs.btrfs", "-q"],
} as const;

/** Makes and mounts one. `undefined`, and a loud word, where that can't be done; where CI is set, that is a failure. */
export function mountFileSystem(kind: "tmpfs" | keyof typeof makers, sizeBytes: number): MountedFileSystem | undefined {
  const folder = mkdtempSync(join(tmpdir(), `vdc-${kind}-`));
  const [image, directory] = [join(folder, "image"), join(folder, "mnt")];
  mkdirSync(directory);
  const file = openSync(image, "w");
  ftruncateSync(file, sizeBytes);
  closeSync(file);
  const steps: readonly (readonly [string, ...string[]])[] =
    kind === "tmpfs"
      ? [["mount", "-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", directory]]
      : [
          [...makers[kind], image],
          ["mount", "-o", "loop", image, directory],
        ];
  for (const [program, ...args] of steps) {
    const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
    if (status === 0) continue;
    rmSync(folder, { recursive: true, force: true });
    const text = `a file system of type ${kind} can't be made here (${program}: ${error?.message ?? stderr.trim()}): its tests are SKIPPED`;
    if (process.env.CI) throw new Error(text);
    console.warn(text);
    return undefined;
  }
  // Where a filter leaves no test of a file, what comes after its tests does not run.
  const remove = (): void => {
    process.off("exit", remove);
    spawnSync("umount", ["-l", directory]);
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", remove);
  return { directory, remove };
}
