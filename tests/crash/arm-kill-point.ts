import { createRequire, syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";
import { DatabaseSync } from "node:sqlite";
import type { KillPoint } from "./manager-protocol.ts";

/** Counts the side effects of this process, and kills it at one of them. */
export interface EffectCounter {
  /** From now on effects count for this phase. */
  enter(phase: KillPoint["phase"] | "safe"): void;
}

/** Functions of `node:fs/promises` that change what a crash leaves. */
const asynchronous = ["rename", "rm", "mkdir", "open", "writeFile", "unlink", "rmdir"] as const;
const synchronous = ["renameSync", "rmSync", "mkdirSync", "openSync", "writeFileSync", "unlinkSync"] as const;

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Has this process kill itself with SIGKILL at a given side effect: a change of the file system, a commit of the state store, the start of a process, or a
 * message to another one. Works by wrapping Node's own functions, so that what is tested knows nothing of it. Call it before anything else is done.
 */
export function armKillPoint(kill: KillPoint | undefined): EffectCounter {
  let phase: KillPoint["phase"] | "safe" = "opening";
  let count = 0;
  const die = (): void => {
    process.kill(process.pid, "SIGKILL");
  };
  /** Counts an effect. Returns whether the process is to die after it. */
  const begin = (): boolean => {
    if (kill === undefined || phase !== kill.phase) return false;
    count++;
    if (count !== kill.effect) return false;
    if (kill.moment === "before") die();
    return true;
  };
  const wrap = (target: object, name: string, counts: (args: readonly unknown[]) => boolean = () => true): void => {
    const functions = target as Record<string, AnyFunction>;
    const original = functions[name] as AnyFunction;
    functions[name] = function (...args) {
      if (!counts(args)) return original.apply(this, args);
      const last = begin();
      const result = original.apply(this, args);
      if (!last) return result;
      if (!(result instanceof Promise)) {
        die();
        return result;
      }
      return result.finally(die);
    };
  };
  if (kill !== undefined) {
    const require = createRequire(import.meta.url);
    const fs = require("node:fs") as object & { readonly promises: object };
    for (const name of asynchronous) wrap(fs.promises, name);
    for (const name of synchronous) wrap(fs, name);
    wrap(require("node:child_process") as object, "spawn");
    syncBuiltinESMExports();
    wrap(DatabaseSync.prototype, "exec", ([text]) => typeof text === "string" && text.startsWith("COMMIT"));
    wrap(Socket.prototype, "write");
  }
  return {
    enter(next) {
      phase = next;
      count = 0;
    },
  };
}
