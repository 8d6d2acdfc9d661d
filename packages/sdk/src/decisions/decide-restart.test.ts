import { describe, expect, it } from "vitest";
import { decideRestart } from "./decide-restart.ts";

describe("decideRestart", () => {
  it("starts at once what never ran, and what ran well", () => {
    expect(decideRestart({ startedAt: undefined, quickEnds: 0, restartAfter: undefined }, 1_000)).toEqual({
      start: true,
      quickEnds: 0,
    });
    expect(decideRestart({ startedAt: 1_000, quickEnds: 5, restartAfter: undefined }, 61_000)).toEqual({
      start: true,
      quickEnds: 0,
    });
  });

  it("waits twice as long each time for what ends soon after its start, up to a minute", () => {
    const pauses: number[] = [];
    let now = 0;
    let quickEnds = 0;
    for (let round = 0; round < 9; round++) {
      const startedAt = now;
      now += 100;
      const decision = decideRestart({ startedAt, quickEnds, restartAfter: undefined }, now);
      if (decision.start) throw new Error("it must wait");
      pauses.push(decision.waitMs);
      quickEnds = decision.quickEnds;
      now = decision.restartAfter;
      expect(decideRestart({ startedAt, quickEnds, restartAfter: decision.restartAfter }, now - 1)).toMatchObject({
        start: false,
        waitMs: 1,
      });
      expect(decideRestart({ startedAt, quickEnds, restartAfter: decision.restartAfter }, now)).toEqual({
        start: true,
        quickEnds,
      });
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000));
  });
});
