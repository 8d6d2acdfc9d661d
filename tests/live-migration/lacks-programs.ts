import { type DaemonSuite, findProgram, missingPrograms } from "@vdc-os/ovsdb/testing";
import { qemu } from "./echo-vm.ts";

/** Whether a test must be skipped because a program is missing on this machine; says so loudly. In continuous integration that is a failure. */
export function lacksPrograms(suite: DaemonSuite, consequence: string): boolean {
  const absent = [...missingPrograms(suite), ...(isThere(qemu) ? [] : [qemu])];
  if (absent.length === 0) return false;
  const text = `Not on this machine: ${absent.join(", ")}; ${consequence}.`;
  if (process.env.CI) throw new Error(text);
  console.warn(text);
  return true;
}

function isThere(program: string): boolean {
  try {
    findProgram(program);
    return true;
  } catch {
    return false;
  }
}
