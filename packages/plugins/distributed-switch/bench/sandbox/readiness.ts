import { setTimeout as sleep } from "node:timers/promises";
import type { SandboxProcess } from "./sandbox.ts";

/** Resolves when the process has printed `text`; rejects when it ends before, or after ten seconds. */
export function printed({ child }: SandboxProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(
      () => reject(new Error(`${child.spawnargs.join(" ")}: no '${text}' in '${output}'`)),
      10_000,
    );
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (!output.includes(text)) return;
      clearTimeout(timer);
      resolve();
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`${child.spawnargs.join(" ")}: ended with ${code} after '${output}'`));
    });
  });
}

/** Asks again and again until `check` doesn't fail any more; rejects with its last failure after ten seconds. */
export async function eventually<T>(check: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
