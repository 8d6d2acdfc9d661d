import fs from "node:fs";
import fsPromises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

/** What a process learns of itself and its machine. */
export interface Identity {
  readonly bootId: string;
  /** Field 22 of `/proc/PID/stat`: two processes of one boot differ in it at least. */
  readonly startTime: string;
}

/** Who ran before the crash, after a kill, and after a power loss. */
export const before: Identity = { bootId: "the-boot-before", startTime: "1" };
export const killed: Identity = { bootId: "the-boot-before", startTime: "2" };
export const rebooted: Identity = { bootId: "the-boot-after", startTime: "1" };

/** Lets this process be another one, as far as the claims on files go, or see another boot. */
export function pretendToBe({ bootId, startTime }: Identity): Disposable {
  const [sync, promised] = [fs.readFileSync, fsPromises.readFile];
  const pretended = (path: unknown): string | undefined => {
    if (path === "/proc/sys/kernel/random/boot_id") return bootId;
    const isOwn = path === "/proc/self/stat" || path === `/proc/${process.pid}/stat`;
    return isOwn ? `1 (node) S ${"0 ".repeat(18)}${startTime} 0` : undefined;
  };
  Reflect.set(fs, "readFileSync", (path: string, options: undefined) => pretended(path) ?? sync(path, options));
  Reflect.set(
    fsPromises,
    "readFile",
    async (path: string, options: undefined) => pretended(path) ?? promised(path, options),
  );
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]() {
      Reflect.set(fs, "readFileSync", sync);
      Reflect.set(fsPromises, "readFile", promised);
      syncBuiltinESMExports();
    },
  };
}
