import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Sandbox } from "../sandbox/sandbox.ts";

/** Compiles `<name>.c` of this folder into the sandbox's folder, and returns the program's path. */
export async function compile(sandbox: Sandbox, name: string): Promise<string> {
  const program = join(sandbox.folder, name);
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  await promisify(execFile)("cc", ["-O2", "-Wall", "-o", program, source, "-ldl"]);
  return program;
}
