import { describe, expect, it } from "vitest";
import { ManualClock } from "../test/manual-clock.ts";
import { LldpAgent, type LldpAgentOptions, type LldpPort } from "./lldp-agent.ts";
import { encodeLldp } from "./lldp-frame.ts";
import { decodeLldp } from "./lldp-reader.ts";

function port(key: string, chassis = "host-1"): LldpPort {
  return {
    key,
    macAddress: 0x5254_0000_0001,
    advertisement: {
      chassisId: { kind: "local", value: chassis },
      portId: { kind: "interfaceName", value: key },
      systemName: chassis,
    },
  };
}

/** Two hosts whose uplinks of one name are wired together. */
function wired(options: Partial<LldpAgentOptions> = {}): {
  readonly clock: ManualClock;
  readonly a: LldpAgent;
  readonly b: LldpAgent;
  readonly changes: string[];
  cut: boolean;
} {
  const clock = new ManualClock();
  const changes: string[] = [];
  const pair = { cut: false };
  const a: LldpAgent = new LldpAgent({
    clock,
    operation: "both",
    transmit: (key, frame) => {
      if (!pair.cut) b.receive(key, frame);
    },
    ...options,
  });
  const b: LldpAgent = new LldpAgent({
    clock,
    operation: "both",
    transmit: (key, frame) => {
      if (!pair.cut) a.receive(key, frame);
    },
    onChange: (key) => changes.push(key),
  });
  a.configure([port("up0")]);
  b.configure([port("up0", "host-2")]);
  return Object.assign(pair, { clock, a, b, changes });
}

describe("LldpAgent", () => {
  it("finds its neighbour, and is found, at once", () => {
    const { a, b, clock } = wired();
    a.start();
    b.start();
    expect(a.neighbours().map(({ systemName, portKey }) => [systemName, portKey])).toEqual([["host-2", "up0"]]);
    // The first frame came before the other one ran; the next follows soon because a neighbour is new.
    clock.advance(1000);
    expect(b.neighbours()).toMatchObject([{ systemName: "host-1", ttlSeconds: 121, expiresInMs: 121_000 }]);
  });

  it("advertises at intervals, a second apart after a neighbour came", () => {
    const { a, b, clock } = wired();
    a.start();
    clock.advance(90_000);
    expect(a.statistics().sent).toBe(4);
    b.start();
    clock.advance(4000);
    expect(a.statistics().sent).toBe(8);
    clock.advance(30_000);
    expect(a.statistics().sent).toBe(9);
  });

  it("forgets a neighbour when its time is over, and at once when it withdraws", () => {
    const pair = wired();
    const { a, b, clock, changes } = pair;
    a.start();
    b.start();
    clock.advance(5000);
    changes.length = 0;
    pair.cut = true;
    clock.advance(115_000);
    expect(b.neighbours()).toHaveLength(1);
    clock.advance(10_000);
    expect(b.neighbours()).toHaveLength(0);
    expect(changes).toEqual(["up0"]);
    pair.cut = false;
    clock.advance(30_000);
    expect(b.neighbours()).toHaveLength(1);
    a.stop();
    expect(b.neighbours()).toHaveLength(0);
    b.stop();
    expect(clock.timers).toBe(0);
  });

  it("withdraws an uplink that goes or gets another identity, and announces one that changes", () => {
    const { a, b, clock } = wired();
    a.start();
    b.start();
    clock.advance(1000);
    a.configure([port("up0", "host-1-renamed")]);
    expect(b.neighbours().map(({ systemName }) => systemName)).toEqual(["host-1-renamed"]);
    a.configure([]);
    expect(b.neighbours()).toHaveLength(0);
  });

  it("only listens, or only advertises, when it is told to", () => {
    for (const [operation, hears, heard] of [
      ["listen", 1, 0],
      ["advertise", 0, 1],
    ] as const) {
      const { a, b, clock } = wired({ operation });
      a.start();
      b.start();
      clock.advance(31_000);
      expect([a.neighbours().length, b.neighbours().length]).toEqual([hears, heard]);
    }
  });

  it("has room for so many neighbours, and counts what is malformed", () => {
    const { a } = wired({ limitPerPort: 3 });
    a.start();
    for (let index = 0; index < 10; index += 1) {
      a.receive("up0", encodeLldp({ ...port("up0", `flood-${index}`).advertisement, ttlSeconds: 9 }, 1));
    }
    a.receive("up0", Buffer.alloc(60));
    a.receive("no-such-uplink", Buffer.alloc(60));
    expect(a.neighbours()).toHaveLength(3);
    expect(a.statistics()).toMatchObject({ received: 11, malformed: 1, tooMany: 7 });
    expect(decodeLldp(encodeLldp({ ...port("x").advertisement, ttlSeconds: 1 }, 1)).systemName).toBe("host-1");
  });
});
