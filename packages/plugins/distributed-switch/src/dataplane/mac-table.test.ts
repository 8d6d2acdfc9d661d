import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { macHigh, macLow } from "./mac-address.ts";
import { type LearnOutcome, MacTable, type MacTableOptions } from "./mac-table.ts";
import { Place } from "./place.ts";

class Table {
  readonly table: MacTable;
  readonly places: Map<string, Place> = new Map();
  now = 0;

  constructor(options: MacTableOptions = {}) {
    this.table = new MacTable(options);
  }

  place(key: string): Place {
    let place = this.places.get(key);
    if (place === undefined) {
      place = new Place("port", key);
      this.places.set(key, place);
    }
    return place;
  }

  learn(vlan: number, mac: number, key: string, limit: number = Number.POSITIVE_INFINITY): LearnOutcome {
    const place = this.place(key);
    const expected = this.table.probe(vlan, macHigh(mac), macLow(mac), place, limit, this.now);
    const outcome = this.table.learn(vlan, macHigh(mac), macLow(mac), place, limit, this.now);
    expect(outcome).toBe(expected);
    return outcome;
  }

  lookup(vlan: number, mac: number): string | undefined {
    return this.table.lookup(vlan, macHigh(mac), macLow(mac), this.now)?.key;
  }
}

describe("MacTable", () => {
  it("learns per VLAN", () => {
    const table = new Table();
    expect(table.learn(10, 1, "a")).toBe("learned");
    expect(table.learn(20, 1, "b")).toBe("learned");
    expect([table.lookup(10, 1), table.lookup(20, 1), table.lookup(30, 1)]).toEqual(["a", "b", undefined]);
  });

  it("moves an address to where it was seen last", () => {
    const table = new Table();
    table.learn(10, 1, "a");
    expect(table.learn(10, 1, "b")).toBe("moved");
    expect(table.lookup(10, 1)).toBe("b");
    expect(table.table.forget(table.place("a"))).toBe(0);
    expect(table.table.forget(table.place("b"))).toBe(1);
    expect(table.table.size).toBe(0);
  });

  it("forgets what wasn't seen for the ageing time, counted from the last frame", () => {
    const table = new Table({ ageingMs: 100 });
    table.learn(10, 1, "a");
    table.now = 99;
    expect(table.learn(10, 1, "a")).toBe("refreshed");
    table.now = 198;
    expect(table.lookup(10, 1)).toBe("a");
    table.now = 199;
    expect(table.lookup(10, 1)).toBeUndefined();
    expect(table.table.size).toBe(0);
  });

  it("ages rightly where the clock passes what fits 32 bits", () => {
    const table = new Table({ ageingMs: 100 });
    table.now = 2 ** 31 - 50;
    table.learn(10, 1, "a");
    table.now += 99;
    expect(table.lookup(10, 1)).toBe("a");
    table.now += 1;
    expect(table.lookup(10, 1)).toBeUndefined();
  });

  it("is bounded in all and per place, and makes room from what has aged", () => {
    const table = new Table({ ageingMs: 100, limit: 3 });
    expect(table.learn(10, 1, "a", 2)).toBe("learned");
    expect(table.learn(10, 2, "a", 2)).toBe("learned");
    expect(table.learn(10, 3, "a", 2)).toBe("limited");
    expect(table.learn(10, 3, "b")).toBe("learned");
    expect(table.learn(10, 4, "b")).toBe("limited");
    expect(table.learn(10, 1, "b")).toBe("moved");
    table.now = 150;
    expect(table.learn(10, 4, "b")).toBe("learned");
    expect([1, 2, 3, 4].map((mac) => table.lookup(10, mac))).toEqual([undefined, undefined, undefined, "b"]);
    expect(table.table.size).toBe(1);
  });

  it("forgets one address at one place, in every VLAN", () => {
    const table = new Table();
    table.learn(10, 7, "a");
    table.learn(11, 7, "a");
    table.learn(12, 7, "b");
    table.learn(10, 8, "a");
    table.table.forgetAddress(7, table.place("a"));
    expect([10, 11, 12].map((vlan) => table.lookup(vlan, 7))).toEqual([undefined, undefined, "b"]);
    expect(table.lookup(10, 8)).toBe("a");
    expect(table.table.addressesAt(table.place("a"), table.now)).toEqual([{ vlan: 10, mac: 8, agoMs: 0 }]);
  });

  it("agrees with a map on any run of learning, moving, forgetting and ageing", () => {
    const step = fc.record({
      vlan: fc.nat(3),
      mac: fc.nat(40).map((index) => index * 0x1_0001_0000 + index),
      place: fc.constantFrom("a", "b", "c"),
      act: fc.constantFrom("learn", "learn", "learn", "learn", "forget", "forgetAddress", "sweep"),
      later: fc.nat(30),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new Table({ ageingMs: 300 });
        const model = new Map<string, { place: string; seen: number }>();
        for (const { vlan, mac, place, act, later } of steps) {
          table.now += later;
          if (act === "learn") {
            table.learn(vlan, mac, place);
            model.set(`${vlan} ${mac}`, { place, seen: table.now });
          } else if (act === "forget") {
            table.table.forget(table.place(place));
            for (const [key, entry] of model) if (entry.place === place) model.delete(key);
          } else if (act === "forgetAddress") {
            table.table.forgetAddress(mac, table.place(place));
            for (const [key, entry] of model) {
              if (entry.place === place && key.endsWith(` ${mac}`)) model.delete(key);
            }
          } else table.table.sweep(table.now);
          const entry = model.get(`${vlan} ${mac}`);
          const expected = entry !== undefined && table.now - entry.seen < 300 ? entry.place : undefined;
          expect(table.lookup(vlan, mac)).toBe(expected);
        }
        table.table.sweep(table.now);
        const alive = [...model.values()].filter(({ seen }) => table.now - seen < 300);
        expect(table.table.size).toBe(alive.length);
        for (const [key, place] of table.places) {
          expect(place.stations).toBe(alive.filter((entry) => entry.place === key).length);
        }
      }),
      { seed: 23, numRuns: process.env.VDC_DEEP ? 2000 : 100 },
    );
  });
});
