import { distributedSwitch } from "@vdc-os/core/network/v1";
import { expect, test } from "vitest";
import { pageAt } from "./pages.ts";

const rows = pageAt("docs/write-a-distributed-switch.md").prose.map((line) => line.replace(/\s+/g, " ").trim());
const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

test("the guide's table of operations is the contract's", () => {
  const expected = Object.entries(distributedSwitch.operations).map(([name, { summary, errors }]) =>
    `| \`${name}\` | ${summary} | ${code(errors)} |`.replace(/\s+/g, " "),
  );
  expect(expected.filter((row) => !rows.includes(row))).toEqual([]);
});

test("the guide's table of facets is the contract's", () => {
  const expected = Object.entries(distributedSwitch.facets).map(
    ([name, operations]) => `| \`${name}\` | ${code(Object.keys(operations))} |`,
  );
  expect(expected.filter((row) => !rows.includes(row))).toEqual([]);
});

test("the guide's table of member states has each state once", () => {
  const output = distributedSwitch.operations["switchStatus"]?.output;
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
