import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own that soon runs full. */
export interface SmallFileSystem {
  readonly directory: string;
  remove(): void;
}

/** Makes and mounts one. `undefined`, and a loud word, where that can't be done; where CI is set, that is a failure. */
export function mountSmall(kind: "tmpfs" | "ext4", sizeBytes: number): SmallFileSystem | undefined {
  const folder = mkdtempSync(join(tmpdir(), `vdc-${kind}-`));
  const [image, directory] = [join(folder, "image"), join(folder, "mnt")];
  mkdirSync(directory);
  const file = openSync(image, "w");
  ftruncateSync(file, sizeBytes);
  closeSync(file);
  const steps: Readonly<Record<typeof kind, readonly (readonly [string, ...string[]])[]>> = {
    tmpfs: [["mount", "-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", directory]],
    ext4: [
      ["mkfs.ext4", "-q", "-m", "0", image],
      ["mount", "-o", "loop", image, directory],
    ],
  };
  for (const [program, ...args] of steps[kind]) {
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
  process.once("exit", remove);
  return { directory, remove };
}
