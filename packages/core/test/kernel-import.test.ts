import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const path = (file: string): string => fileURLToPath(new URL(`../src/${file}`, import.meta.url));

/** Whether a process that imports a module of ours has loaded pino, which is CommonJS and so in its cache. */
async function loadsPino(file: string): Promise<boolean> {
  const script = `
    import { createRequire } from "node:module";
    await import(${JSON.stringify(path(file))});
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    console.log(loaded.some((name) => /node_modules.pino./.test(name)));
  `;
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script]);
  return stdout.trim() === "true";
}

it("is light: the kernel does not load pino, its own subpath does", async () => {
  expect(await loadsPino("kernel.ts")).toBe(false);
  expect(await loadsPino("pino/index.ts")).toBe(true);
});
