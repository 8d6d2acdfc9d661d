import { expect, it } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { runProgram } from "./run-program.ts";

it("no package weighs more than its budget, in bytes and in types", { timeout: 900_000 }, async () => {
  const args = ["scripts/tasks/budgets.mjs", "--check"];
  const { code, stdout, stderr } = await runProgram(process.execPath, args, { cwd: root, timeoutMs: 880_000 });
  if (code !== 0) expect.fail(`${stdout}${stderr}`);
  expect(stdout).toBe("");
});
