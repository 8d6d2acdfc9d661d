import { spawn, spawnSync } from "node:child_process";

/** Whether all of these programs are here. Where CI is set an absent one is a failure; elsewhere the loss is said aloud. */
export function toolsPresent(...names: readonly string[]): boolean {
  const absent = names.filter((name) => spawnSync(name, ["--version"]).error !== undefined);
  if (absent.length === 0) return true;
  const text = `not installed: ${absent.join(", ")}; what they would judge is not tested`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED: ${text}`);
  return false;
}

/** Runs a program to its end and answers what it printed; a failure is an error with all it said. */
export function runTool(name: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 50_000 });
    let out = "";
    let all = "";
    child.stdout.on("data", (chunk) => {
      out += chunk;
      all += chunk;
    });
    child.stderr.on("data", (chunk) => {
      all += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${name} ${args.join(" ")} ended with ${code}: ${all}`));
    });
  });
}
