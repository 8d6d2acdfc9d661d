import { describe, expect, it } from "vitest";
import { MacTable } from "./mac-table.ts";

function tableAt(options: { ageingMs?: number; limit?: number } = {}): {
  table: MacTable<string>;
  clock: { ms: number };
} {
  const clock = { ms: 0 };
  return { table: new MacTable<string>({ now: () => clock.ms, ...options }), clock };
}

describe("MacTable", () => {
  it("learns per VLAN", () => {
    const { table } = tableAt();
    expect(table.learn(10, 1, "a")).toBe("learned");
    expect(table.learn(20, 1, "b")).toBe("learned");
    expect([table.lookup(10, 1), table.lookup(20, 1), table.lookup(30, 1)]).toEqual(["a", "b", undefined]);
  });

  it("moves an address to where it was seen last", () => {
    const { table } = tableAt();
    table.learn(10, 1, "a");
    expect(table.learn(10, 1, "b")).toBe("moved");
    expect(table.lookup(10, 1)).toBe("b");
    expect(table.forget("a")).toBe(0);
    expect(table.forget("b")).toBe(1);
    expect(table.size).toBe(0);
  });

  it("forgets what wasn't seen for the ageing time, counted from the last frame", () => {
    const { table, clock } = tableAt({ ageingMs: 100 });
    table.learn(10, 1, "a");
    clock.ms = 99;
    expect(table.learn(10, 1, "a")).toBe("refreshed");
    clock.ms = 198;
    expect(table.lookup(10, 1)).toBe("a");
    clock.ms = 199;
    expect(table.lookup(10, 1)).toBeUndefined();
    expect(table.size).toBe(0);
  });

  it("is bounded in all and per location, and makes room from what has aged", () => {
    const { table, clock } = tableAt({ ageingMs: 100, limit: 3 });
    expect(table.learn(10, 1, "a", 2)).toBe("learned");
    expect(table.learn(10, 2, "a", 2)).toBe("learned");
    expect(table.learn(10, 3, "a", 2)).toBe("limited");
    expect(table.learn(10, 3, "b")).toBe("learned");
    expect(table.learn(10, 4, "b")).toBe("limited");
    expect(table.learn(10, 1, "b")).toBe("moved");
    clock.ms = 150;
    expect(table.learn(10, 4, "b")).toBe("learned");
    expect(table.size).toBe(1);
  });
});
