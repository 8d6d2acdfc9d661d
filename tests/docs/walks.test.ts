import { expect, test } from "vitest";
import { applyChange } from "./apply-change.ts";
import { pageAt } from "./pages.ts";
import { walkPage } from "./walk-page.ts";

test("a change is applied where it belongs, or not at all", () => {
  expect(applyChange("a\nb\nc\n", " a\n-b\n+B\n+D")).toBe("a\nB\nD\nc\n");
  expect(() => applyChange("a\nb\na\nb\n", "-b\n+c")).toThrow("2 times");
  expect(() => applyChange("ab\n", "-b\n+c")).toThrow("0 times");
});

test.for([
  ["docs/your-first-plugin.md", 20],
  ["docs/back-up-a-datacenter.md", 6],
] as const)("%s is walked, from packed packages in an empty folder", { timeout: 900_000 }, async ([path, steps]) => {
  expect(await walkPage(pageAt(path))).toBeGreaterThanOrEqual(steps);
});
