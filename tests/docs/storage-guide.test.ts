import { storageProvider } from "@vdc-os/core/storage/v1";
import { expect, test } from "vitest";
import { pageAt } from "./pages.ts";

const rows = pageAt("docs/write-a-storage-provider.md").prose.map((line) => line.replace(/\s+/g, " ").trim());
const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

test("the guide's table of operations is the contract's", () => {
  const expected = Object.entries(storageProvider.operations).map(([name, { summary, errors }]) =>
    `| \`${name}\` | ${summary} | ${code(errors)} |`.replace(/\s+/g, " "),
  );
  expect(expected.filter((row) => !rows.includes(row))).toEqual([]);
});

test("the guide's table of facets is the contract's", () => {
  const expected = Object.entries(storageProvider.facets).map(
    ([name, operations]) => `| \`${name}\` | ${code(Object.keys(operations))} |`,
  );
  expect(expected.filter((row) => !rows.includes(row))).toEqual([]);
});
