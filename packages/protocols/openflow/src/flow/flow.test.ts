import { expect, test } from "vitest";
import { addFlow } from "../messages/flow-mod.ts";
import type { Action } from "./action.ts";
import { encodeInstructions } from "./flow.ts";

test("instructions are a meter, actions and the next table, in this order", () => {
  const bytes = encodeInstructions({
    table: 1,
    priority: 1,
    match: [],
    meter: 5,
    actions: [{ kind: "popVlan" }, { kind: "output", port: 7 }],
    next: 2,
  });
  expect(bytes.toString("hex")).toBe(
    [
      "0006000800000005",
      "0004002000000000",
      "0012000800000000",
      "0000001000000007ffff000000000000",
      "0001000802000000",
    ].join(""),
  );
});

test.each([
  ["side by side", (outputs: readonly Action[]) => outputs],
  ["in a clone", (outputs: readonly Action[]) => [{ kind: "clone", actions: outputs } as const]],
])("actions that no message has room for are refused: %s", (_, wrap) => {
  const outputs = Array.from({ length: 5_000 }, (_, port) => ({ kind: "output", port }) as const);
  const refused = expect.objectContaining({ code: "OPENFLOW_INVALID_ARGUMENT" });
  expect(() => addFlow({ table: 1, priority: 1, match: [], actions: wrap(outputs) })).toThrow(refused);
});

test.each([
  { table: 256, priority: 1, match: [] },
  { table: 1, priority: 65_536, match: [] },
  { table: 1, priority: 1, match: [], actions: [{ kind: "output", port: -1 }] as const },
  { table: 1, priority: 1, match: [], next: 1, meter: 2 ** 32 },
])("a number that has no room is refused: %j", (flow) => {
  expect(() => addFlow(flow)).toThrow(expect.objectContaining({ code: "OPENFLOW_INVALID_ARGUMENT" }));
});
