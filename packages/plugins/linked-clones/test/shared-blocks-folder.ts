import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder on a file system whose files share blocks (XFS, in an image). `undefined`, and a loud word, where none can be made; where CI is set, that is a failure. */
export function folderThatSharesBlocks(): { readonly path: string; remove(): void } | undefined {
  const folder = mkdtempSync(join(tmpdir(), "vdc-clones-xfs-"));
  const [image, path] = [join(folder, "image"), join(folder, "mnt")];
  const file = openSync(image, "w");
  ftruncateSync(file, 320 * 1024 * 1024);
  closeSync(file);
  mkdirSync(path);
  const commands = [
    ["mkfs.xfs", ["-q", image]],
    ["mount", ["-o", "loop", image, path]],
  ] as const;
  for (const [program, args] of commands) {
    const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
    if (status === 0) continue;
    rmSync(folder, { recursive: true, force: true });
    const text = `no XFS can be made here (${program}: ${error?.message ?? stderr.trim()}): clones over reflink are SKIPPED`;
    if (process.env.CI) throw new Error(text);
    console.warn(text);
    return undefined;
  }
  return {
    path,
    remove() {
      spawnSync("umount", ["-l", path]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
