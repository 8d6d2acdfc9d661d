import { describe, expect, it } from "vitest";
import { access, Bench, expectBalance, frame, nic } from "../../test/engine-bench.ts";
import { portStateSchema } from "./port-state.ts";
import type { PortSettings } from "./switch-port.ts";

const settings: Partial<PortSettings> = {
  security: { forgedTransmits: true },
  macLearning: { enabled: true, limit: 3 },
  shapingIn: { averageBitsPerSecond: 1e6, peakBitsPerSecond: 1e6, burstBytes: 1e6, packetsPerSecond: 30 },
  filters: [{ name: "r", direction: "in", match: { vlan: 11 }, action: { kind: "rateLimit", packetsPerSecond: 10 } }],
};
const mirrors = [
  {
    name: "m",
    sourcePorts: ["p1"],
    direction: "in" as const,
    samplingRate: 3,
    destination: { kind: "port" as const, portKey: "p9" },
  },
];

function host(now: () => number): Bench {
  const bench = new Bench({ now }, ["h2"]);
  bench.engine.directory.setMirrors(mirrors);
  bench.port(9, access(99));
  return bench;
}

describe("a port's state", () => {
  it("goes on where it was on the host before: counters, addresses, limits and sampling", () => {
    const here = host(() => 1000);
    const a = here.port(1, access(10), settings);
    for (const station of [1, 60, 61]) here.send(a, frame(0xffff_ffff_ffff, nic(station)));
    here.send(a, frame(0xffff_ffff_ffff, nic(1)));
    const state = portStateSchema.parse(JSON.parse(JSON.stringify(here.engine.exportPort(a))));

    const there = host(() => 77_000);
    const moved = there.port(1, access(10), settings);
    there.engine.importPort(moved, state);
    expect(moved.statistics()).toEqual(a.statistics());
    expect(state.learned.map(({ mac }) => mac)).toHaveLength(2);
    expect(there.engine.learnedAddresses).toBe(2);
    // Others are told where its stations are now.
    expect(there.tunnelled.splice(0).map(({ vlan }) => vlan)).toEqual([10, 10, 10]);
    const b = there.port(2, access(10));
    there.send(b, frame(nic(61), nic(2), { id: 1 }));
    expect(there.tunnelled).toEqual([]);
    expect(there.take()).toEqual({ p1: [{ id: 1, tag: undefined }] });
    // The bucket of three packets was used up, and one frame after the last sample is one of three.
    there.send(moved, frame(0xffff_ffff_ffff, nic(1)));
    expect(moved.statistics().in.drops).toEqual({ shaped: 2 });
    expect(there.take()).toEqual({});
    there.send(moved, frame(0xffff_ffff_ffff, nic(1), { id: 7 }));
    expect(there.take()).toEqual({ p9: [{ id: 7, tag: undefined }] });
    expectBalance(moved);
  });

  it("counts held frames as left behind", () => {
    const here = host(() => 0);
    const a = here.port(1, access(10));
    here.engine.setGate(a, "hold");
    here.send(a, frame(0xffff_ffff_ffff, nic(1)));
    const { statistics } = here.engine.exportPort(a);
    expect(statistics.in).toMatchObject({ frames: 1, dropped: 1, drops: { holdDiscarded: 1 } });
    const there = host(() => 0);
    const moved = there.port(1, access(10));
    there.engine.importPort(moved, here.engine.exportPort(a));
    expectBalance(moved);
  });

  it("gives a port no address or VLAN that its settings there don't allow", () => {
    const here = host(() => 0);
    const a = here.port(1, access(10), { ...settings, security: { forgedTransmits: true, macChanges: true } });
    here.send(a, frame(0xffff_ffff_ffff, nic(60)));
    const state = here.engine.exportPort(a);
    const there = host(() => 0);
    const elsewhere = there.port(1, access(20), settings);
    there.engine.importPort(elsewhere, state);
    expect(there.engine.learnedAddresses).toBe(0);
    const plain = there.port(2, access(10));
    there.engine.importPort(plain, { ...state, effectiveMac: "02:00:00:00:00:01" });
    expect(plain.effectiveMac).toBe(nic(2));
  });

  it("is refused when it is none", () => {
    for (const bad of [undefined, {}, { version: 2 }, { version: 1, learned: [{ vlan: 5000 }] }]) {
      expect(portStateSchema.safeParse(bad).success).toBe(false);
    }
  });
});
