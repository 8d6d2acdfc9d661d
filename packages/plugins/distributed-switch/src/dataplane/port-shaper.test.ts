import { describe, expect, it } from "vitest";
import { access, Bench, frame, nic } from "../../test/engine-bench.ts";
import { PortShaper, type ShapingSetting } from "./port-shaper.ts";

const setting = (values: Partial<ShapingSetting>): ShapingSetting => ({
  averageBitsPerSecond: 8_000_000,
  peakBitsPerSecond: 80_000_000,
  burstBytes: 50_000,
  packetsPerSecond: 0,
  ...values,
});

/** Octets that pass in each millisecond when everything is offered. */
function offered(shaper: PortShaper, octets: number, milliseconds: number): number[] {
  return Array.from({ length: milliseconds }, (_, now) => {
    let passed = 0;
    while (shaper.allows(octets, now)) {
      shaper.take(octets);
      passed += octets;
    }
    return passed;
  });
}

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

describe("PortShaper", () => {
  it("passes the burst at no more than the peak rate, and then the average", () => {
    const shaper = new PortShaper(setting({}));
    const passed = offered(shaper, 1000, 1000);
    const { peakBurstBytes } = shaper.effective();
    // 8 Mbit/s is 1,000 octets a millisecond, 80 Mbit/s 10,000.
    expect(sum(passed)).toBeGreaterThan(1_045_000);
    expect(sum(passed)).toBeLessThan(1_051_001);
    expect(passed[0]).toBeLessThanOrEqual(peakBurstBytes);
    for (let at = 1; at < 1000; at += 1) expect(sum(passed.slice(at, at + 10))).toBeLessThanOrEqual(110_000);
    expect(sum(passed.slice(500))).toBe(500_000);
  });

  it("lets a frame longer than the burst pass at the average rate, not never", () => {
    const shaper = new PortShaper(setting({ averageBitsPerSecond: 80_000, burstBytes: 500 }));
    expect(sum(offered(shaper, 1500, 3000))).toBeGreaterThanOrEqual(28_500);
  });

  it("limits packets whatever their size", () => {
    const shaper = new PortShaper(setting({ packetsPerSecond: 100 }));
    expect(sum(offered(shaper, 60, 1000)) / 60).toBe(109);
  });

  it("tells what it really does", () => {
    expect(
      new PortShaper(setting({ averageBitsPerSecond: 999.6, peakBitsPerSecond: 3, burstBytes: 0.2 })).effective(),
    ).toEqual({
      averageBitsPerSecond: 1000,
      peakBitsPerSecond: 1000,
      burstBytes: 1,
      peakBurstBytes: 9234,
      packetsPerSecond: 0,
      packetBurst: 0,
      overLimit: "drop",
    });
  });

  it("goes on from another's level", () => {
    const used = new PortShaper(setting({}));
    offered(used, 1000, 100);
    const next = new PortShaper(setting({}));
    next.level = used.level;
    expect(next.allows(1000, 0)).toBe(false);
    next.level = { average: Number.NaN, peak: Number.POSITIVE_INFINITY, packets: 0 };
    expect(next.allows(1000, 0)).toBe(true);
  });
});

describe("shaping of ports", () => {
  it("drops what is over the limit, in either direction, for the reason that it is shaped", () => {
    let now = 0;
    const bench = new Bench({ now: () => now });
    const one = setting({ packetsPerSecond: 10 });
    const a = bench.port(1, access(10), { shapingIn: one });
    const b = bench.port(2, access(10), { shapingOut: one });
    for (const id of [1, 2, 3]) bench.send(a, frame(nic(2), nic(1), { id }));
    expect(a.statistics().in.drops).toEqual({ shaped: 2 });
    now = 100;
    bench.engine.flush();
    for (const id of [4, 5]) bench.send(bench.port(id, access(10)), frame(nic(2), nic(id), { id }));
    expect(bench.take().p2?.map(({ id }) => id)).toEqual([1, 4]);
    expect(b.statistics().out).toMatchObject({ frames: 2, dropped: 1, drops: { shaped: 1 } });
    // Unchanged settings keep the level; others begin anew.
    bench.engine.configurePort(b, { ...b.settings, blocked: false });
    bench.send(a, frame(nic(2), nic(1)));
    expect(b.statistics().out.drops).toEqual({ shaped: 2 });
    bench.engine.configurePort(b, { ...b.settings, shapingOut: setting({ packetsPerSecond: 20 }) });
    now = 200;
    bench.engine.flush();
    bench.send(a, frame(nic(2), nic(1), { id: 9 }));
    expect(bench.take().p2?.map(({ id }) => id)).toEqual([9]);
  });
});
