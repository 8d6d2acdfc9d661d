import { distributedSwitch } from "@vdc-os/core/network/v1";
import { describe, expect, it, test } from "vitest";
import { read } from "../architecture/source-tree.ts";
import { facetRows, guides, oneSpace, operationRows } from "./guides.ts";
import { pageAt } from "./pages.ts";

const rowsOf = (path: string): readonly string[] => pageAt(path).prose.map(oneSpace);

/** The names in the first column of the table whose first heading is this. */
function firstColumn(rows: readonly string[], heading: string): readonly string[] {
  const start = rows.findIndex((row) => row.startsWith(`| ${heading} |`));
  const end = rows.findIndex((row, index) => index > start && row === "");
  const names = rows.slice(start + 2, end).map((row) => /^\| `(\w+)` \|/.exec(row)?.[1]);
  return start < 0 ? [] : names.map((name) => name ?? "");
}

test("each extension point of core has a guide", () => {
  const { exports } = JSON.parse(read("packages/core/package.json")) as { readonly exports: object };
  const points = Object.keys(exports).flatMap((path) => /^\.\/(\w+)\/v\d+$/.exec(path)?.[1] ?? []);
  expect(points.length).toBeGreaterThan(7);
  expect(guides.map(({ point }) => point.id).sort()).toEqual(points.map((name) => `vdc.${name}`).sort());
});

describe.each(guides)("$path", ({ path, point }) => {
  const rows = rowsOf(path);

  it("has the contract's table of operations", () => {
    expect(operationRows(point).filter((row) => !rows.includes(row))).toEqual([]);
    expect(firstColumn(rows, "operation")).toEqual(Object.keys(point.operations));
  });

  it("has the contract's table of facets", () => {
    expect(facetRows(point).filter((row) => !rows.includes(row))).toEqual([]);
    expect(firstColumn(rows, "facet")).toEqual(Object.keys(point.facets));
  });

  it("has the sections that every guide has", () => {
    const headings = rows.filter((row) => row.startsWith("## ")).map((row) => row.slice(3));
    const expected = ["The plugin", "The contract", "Errors", "Certify it", "Pitfalls"];
    expect(headings.filter((heading) => expected.includes(heading))).toEqual(expected);
  });
});

test("the switch guide's table of member states has each state once", () => {
  const rows = rowsOf("docs/write-a-distributed-switch.md");
  const output = distributedSwitch.operations.switchStatus?.output;
  const status = (state: string): unknown => ({
    switchId: "s",
    desiredGeneration: 1,
    members: [{ host: "h", state, realizedGeneration: 1, detail: "" }],
    ports: [],
  });
  const told = ["up", "pending", "outOfSync", "warning", "disconnected", "down"];
  for (const state of told) {
    expect(rows.filter((row) => row.startsWith(`| \`${state}\` |`))).toHaveLength(1);
    expect(output?.safeParse(status(state)).success).toBe(true);
  }
  expect(output?.safeParse(status("gone")).success).toBe(false);
});
