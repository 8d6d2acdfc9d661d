import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * Whether a test must be skipped because a program is missing on this machine; says so, and what is then not tested.
 * In continuous integration a missing program is a failure.
 */
export function missingPrograms(names: readonly string[], consequence: string): boolean {
  const absent = names.filter((name) => !isOnPath(name));
  if (absent.length === 0) return false;
  const text = `Not on this machine: ${absent.join(", ")}; ${consequence}.`;
  if (process.env.CI) throw new Error(text);
  console.warn(text);
  return true;
}

function isOnPath(name: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
