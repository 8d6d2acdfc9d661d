import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own, in an image file. */
export interface LoopFileSystem {
  readonly directory: string;
  remove(): void;
}

const sizes: Readonly<Record<"xfs" | "btrfs", number>> = { xfs: 320 * 1024 * 1024, btrfs: 1024 * 1024 * 1024 };

/** Makes and mounts a file system. `undefined`, and a loud word, where that can't be done; where CI is set, that is a failure. */
export function mountLoop(kind: keyof typeof sizes): LoopFileSystem | undefined {
  const folder = mkdtempSync(join(tmpdir(), `vdc-${kind}-`));
  const [image, directory] = [join(folder, "image"), join(folder, "mnt")];
  const file = openSync(image, "w");
  ftruncateSync(file, sizes[kind]);
  closeSync(file);
  mkdirSync(directory);
  const steps: readonly (readonly [string, ...string[]])[] = [
    [`mkfs.${kind}`, "-q", image],
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
  const remove = (): void => {
    process.off("exit", remove);
    spawnSync("umount", ["-l", directory]);
    rmSync(folder, { recursive: true, force: true });
  };
  // Where a filter leaves no test of a file, what comes after its tests does not run.
  process.once("exit", remove);
  return { directory, remove };
}
