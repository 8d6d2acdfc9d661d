import { expect, it } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { runProgram } from "./run-program.ts";

it("what the users of each package can name is what its report in api-reports says", { timeout: 300_000 }, async () => {
  const { stdout, stderr } = await runProgram(process.execPath, ["scripts/tasks/api.mjs", "--check"], { cwd: root });
  expect(stderr).toBe("");
  if (stdout !== "") expect.fail(stdout);
});
