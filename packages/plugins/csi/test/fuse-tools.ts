import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, test } from "vitest";

function isThere(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** What is missing for NBD exports as files; `undefined` when nothing is. */
export const missingForFuse: string | undefined = (() => {
  const onPath = (name: string): boolean =>
    (process.env.PATH ?? "").split(delimiter).some((folder) => isThere(join(folder, name), constants.X_OK));
  if (!onPath("nbdfuse")) return "'nbdfuse' (Debian package libnbd-bin or nbdfuse) is not installed";
  if (!isThere("/dev/fuse", constants.R_OK | constants.W_OK)) return "'/dev/fuse' can't be opened";
  if (process.getuid?.() !== 0 && !onPath("fusermount3")) return "'fusermount3' is needed where one is not root";
  return undefined;
})();

/** A group of tests that needs `nbdfuse`. Without it, it says so; under CI, where it must be there, it fails. */
export function describeWithFuse(name: string, define: () => void): void {
  if (missingForFuse === undefined) {
    describe(name, define);
    return;
  }
  if (process.env.CI) {
    test(name, () => {
      throw new Error(`under CI this must be there: ${missingForFuse}`);
    });
    return;
  }
  describe.skip(`${name}: SKIPPED, ${missingForFuse}`, define);
}
