import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

// What runs in a browser knows the names of one, which nothing else in the repository may see: so it has its own check.
test("the scripts of the pages, and their tests, have no type error", async () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const output = await new Promise<string>((resolve) => {
    const args = ["node_modules/typescript/bin/tsc", "-p", "site"];
    execFile(process.execPath, args, { cwd: root }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
  expect(output).toBe("");
});
