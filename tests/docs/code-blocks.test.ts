import { describe, expect, it, test } from "vitest";
import { read } from "../architecture/source-tree.ts";
import { checkTypes } from "./check-types.ts";
import type { CodeBlock } from "./markdown-page.ts";
import { fileOf, pages, placeOf, typeScriptBlocks } from "./pages.ts";
import { runBlock } from "./run-block.ts";

test("every block of TypeScript compiles", { timeout: 300_000 }, () => {
  // A block that shows a part of a file is compiled there, and one that makes a file where its page is walked.
  const isElsewhere = ({ words }: CodeBlock): boolean => words.some((word) => /^(file|new)=/.test(word));
  expect(checkTypes(typeScriptBlocks.filter((block) => !isElsewhere(block)))).toEqual([]);
});

test("the check of types names the page and the line", { timeout: 300_000 }, () => {
  const text = 'import { VdcError } from "@vdc-os/core";\nnew VdcError("NO_SUCH_CODE", "text");';
  const [problem, ...more] = checkTypes([{ path: "some/page.md", line: 10, language: "ts", words: [], text }]);
  expect(problem).toMatch(/^some\/page\.md:11 .*NO_SUCH_CODE/);
  expect(more).toEqual([]);
});

test("a block that shows a file is in that file, line for line", () => {
  const violations = pages
    .flatMap(({ blocks }) => blocks)
    .filter((block) => {
      const file = fileOf(block);
      return file !== undefined && !`\n${read(file)}`.includes(`\n${block.text}\n`);
    });
  expect(violations.map((block) => `${placeOf(block)} is not what '${fileOf(block)}' says`)).toEqual([]);
});

describe("blocks that are marked with 'run'", () => {
  const runnable = typeScriptBlocks.filter(({ words }) => words.includes("run"));
  it("are there", () => expect(runnable.length).toBeGreaterThan(0));

  for (const block of runnable) {
    it(`${placeOf(block)} runs`, async () => {
      const { code, stdout, stderr } = await runBlock(block);
      expect({ place: placeOf(block), code, stderr }).toEqual({ place: placeOf(block), code: 0, stderr: "" });
      const expected = outputAfter(block.path, block.line);
      if (expected !== undefined) expect(stdout.trim()).toMatch(expected);
    });
  }
});

/** What the page says that a block prints: the `text output` block that comes next. Three dots stand for anything. */
function outputAfter(path: string, line: number): RegExp | undefined {
  const blocks = pages.find((page) => page.path === path)?.blocks ?? [];
  const next = blocks[blocks.findIndex((block) => block.line === line) + 1];
  if (next?.words.includes("output") !== true) return undefined;
  const parts = next.text
    .trim()
    .split("...")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^]*")}$`);
}
