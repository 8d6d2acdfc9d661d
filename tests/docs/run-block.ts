import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../architecture/source-tree.ts";
import type { CodeBlock } from "./markdown-page.ts";

/** How a program ended, and what it wrote. */
export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Node.js, and ends it when it takes too long. Default of `timeoutMs`: 170,000, before the test that asks ends. */
export function runNode(
  args: readonly string[],
  options: { readonly cwd: string; readonly timeoutMs?: number },
): Promise<RunResult> {
  const { cwd, timeoutMs = 170_000 } = options;
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    signal: AbortSignal.timeout(timeoutMs),
    killSignal: "SIGKILL",
  });
  const written = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    written.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    written.stderr += text;
  });
  child.on("error", reject);
  child.on("close", (code) => resolve({ code, ...written }));
  return promise;
}

/** Runs a block as a program of its own, in an empty folder from which every package of the workspace is found, and zod. */
export async function runBlock(block: CodeBlock): Promise<RunResult> {
  const cwd = await mkdtemp(join(tmpdir(), "vdc-docs-"));
  try {
    await mkdir(join(cwd, "node_modules"));
    await symlink(join(root, "tests/node_modules/@vdc-os"), join(cwd, "node_modules/@vdc-os"), "dir");
    await symlink(join(root, "node_modules/zod"), join(cwd, "node_modules/zod"), "dir");
    await writeFile(join(cwd, "package.json"), '{ "type": "module" }\n');
    await writeFile(join(cwd, "block.ts"), block.text);
    return await runNode(["block.ts"], { cwd });
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
