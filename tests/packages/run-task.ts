import { root } from "../architecture/source-tree.ts";
import { runProgram } from "./run-program.ts";

/** Runs one of the repository's own tasks, and returns what it printed. To build and pack every package takes half a minute, and minutes where others work. */
export async function task(name: string, args: readonly string[] = []): Promise<string> {
  const { code, stdout, stderr } = await runProgram(process.execPath, [`scripts/tasks/${name}.mjs`, ...args], {
    cwd: root,
    timeoutMs: 600_000,
  });
  if (code !== 0) throw new Error(`the task '${name}' ended with ${code ?? "a signal"}:\n${stdout}${stderr}`);
  return stdout;
}
