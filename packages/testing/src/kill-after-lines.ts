import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Runs a module as a process until it has said a number of lines, and kills it a moment later. Returns what it said. Fails when it ended by itself. */
export async function killAfterLines(
  lines: number,
  module: string,
  ...args: readonly string[]
): Promise<readonly string[]> {
  const child = spawn(process.execPath, [module, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_, signal) => resolve(signal)));
  const said: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    said.push(line);
    if (said.length === lines) child.kill("SIGKILL");
  }
  if ((await ended) === "SIGKILL") return said;
  throw new Error(`'${module}' ended by itself after ${said.length} lines, and was to say ${lines}`);
}
