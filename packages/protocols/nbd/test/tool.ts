import { spawn } from "node:child_process";
import { missingPrograms } from "@vdc-os/testing";

/** Whether all of these programs are here. */
export function toolsPresent(...names: readonly string[]): boolean {
  return !missingPrograms(names, "what they would judge is not tested");
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
