import { describe, expect, it } from "vitest";
import { ManualClock } from "../test/manual-clock.ts";
import { findingsOf } from "./health-findings.ts";
import { PathProber, type PathProberOptions, type ProbeResult, type ProbeTarget } from "./path-prober.ts";
import { encodeProbe } from "./probe-frame.ts";

interface Wire {
  readonly passes: (way: {
    readonly vlan: number;
    readonly length: number;
    readonly uplink?: string | undefined;
  }) => boolean;
  readonly refuses?: (length: number) => string | undefined;
}

/** Two members with a wire between them, which takes a millisecond each way. */
function members({ passes, refuses = () => undefined }: Wire): { a: PathProber; b: PathProber; clock: ManualClock } {
  const clock = new ManualClock();
  const randomBytes = (count: number): Buffer => Buffer.alloc(count, 7);
  const wired = (other: () => PathProber): PathProberOptions["send"] => {
    return (frame, { vlan, uplink }) => {
      const refused = refuses(frame.length);
      if (refused !== undefined) return refused;
      if (passes({ vlan, length: frame.length, uplink })) clock.schedule(1, () => other().receive(frame, { uplink }));
      return undefined;
    };
  };
  const a: PathProber = new PathProber({ member: "host-a", clock, randomBytes, send: wired(() => b) });
  const b: PathProber = new PathProber({ member: "host-b", clock, randomBytes, send: wired(() => a) });
  return { a, b, clock };
}

async function run(wire: Wire, targets: readonly ProbeTarget[]): Promise<ProbeResult[]> {
  const { a, clock } = members(wire);
  let done = false;
  const results = a.run(targets).finally(() => {
    done = true;
  });
  while (!done) {
    clock.advance(100);
    await Promise.resolve();
  }
  expect(clock.timers).toBe(0);
  return results;
}

const to = "host-b";
const all = ["path", "vlan", "mtu", "teaming"] as const;

describe("PathProber", () => {
  it("asks and is answered, with the time that it took", async () => {
    const [result] = await run({ passes: () => true }, [{ to, vlan: 10, frameBytes: 1514 }]);
    expect(result).toEqual({
      ...{ from: "host-a", to, vlan: 10, frameBytes: 1514 },
      ...{ sent: 3, answered: 3, refused: undefined, roundTripMs: 2 },
    });
  });

  it("finds the VLAN that doesn't pass, and the length that doesn't", async () => {
    const ways = [10, 20].flatMap((vlan) => [100, 1514].map((frameBytes) => ({ to, vlan, frameBytes })));
    const results = await run({ passes: ({ vlan, length }) => vlan === 10 && length < 1500 }, ways);
    expect(findingsOf(results, all)).toEqual([
      {
        check: "path",
        from: "host-a",
        to,
        ok: true,
        detail: "3 of 6 probes were answered, 2.0 ms there and back at best",
      },
      { check: "vlan", from: "host-a", to, ok: true, detail: "VLAN 10: 3 of 3 probes were answered" },
      {
        ...{ check: "vlan", from: "host-a", to, ok: false },
        detail: "VLAN 20: 0 of 3 probes were answered; VLAN 10 passes: is 20 allowed everywhere on the way?",
      },
      {
        ...{ check: "mtu", from: "host-a", to, ok: false },
        detail:
          "frames of 1514 octets are lost, of 100 octets pass: an MTU on the way is too small, between the hosts it must be 1550, or the switch's smaller",
      },
    ]);
  });

  it("tells each uplink apart, and why nothing was sent", async () => {
    const uplinks = ["up0", "up1"].map((uplink) => ({ to, vlan: 0, frameBytes: 100, uplink }));
    const results = await run({ passes: ({ uplink }) => uplink === "up1" }, uplinks);
    expect(findingsOf(results, ["teaming"])).toMatchObject([
      { ok: false, detail: "uplink 'up0': 0 of 3 probes were answered" },
      { ok: true, detail: "uplink 'up1': 3 of 3 probes were answered" },
    ]);
    const refuses = (length: number): string | undefined => (length > 1400 ? "tunnelMtu" : undefined);
    const sizes = [100, 1500].map((frameBytes) => ({ to, vlan: 5, frameBytes }));
    expect(findingsOf(await run({ passes: () => true, refuses }, sizes), ["mtu"])).toMatchObject([
      { ok: false, detail: expect.stringContaining("(not sent: tunnelMtu)") },
    ]);
    const dead = await run({ passes: () => false, refuses: () => "linkDown" }, sizes);
    expect(findingsOf(dead, ["path"])).toMatchObject([{ ok: false, detail: "nothing could be sent: linkDown" }]);
    expect(findingsOf([], all)).toEqual([]);
  });

  it("ends early when it is aborted", async () => {
    const { a, clock } = members({ passes: () => false });
    const abort = new AbortController();
    const results = a.run([{ to, vlan: 0, frameBytes: 100 }], { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(results).rejects.toThrow("enough");
    expect(clock.timers).toBe(0);
  });

  it("ignores what is malformed, for others, forged, or too much", () => {
    const sent: Buffer[] = [];
    const clock = new ManualClock();
    const prober = new PathProber({
      ...{ member: "host-b", clock, randomBytes: (count: number) => Buffer.alloc(count) },
      send: (frame) => {
        sent.push(frame);
        return undefined;
      },
    });
    const request = {
      kind: "request",
      from: "host-a",
      to,
      vlan: 0,
      frameBytes: 100,
      sequence: 1,
      nonce: Buffer.alloc(16),
    } as const;
    prober.receive(Buffer.alloc(60));
    prober.receive(encodeProbe({ ...request, to: "host-c" }));
    prober.receive(encodeProbe({ ...request, kind: "reply" }));
    expect(prober.statistics).toEqual({ answered: 0, ignored: 3 });
    for (let index = 0; index < 1500; index += 1) prober.receive(encodeProbe(request));
    expect(sent).toHaveLength(1000);
    clock.advance(1000);
    prober.receive(encodeProbe(request));
    expect(sent).toHaveLength(1001);
  });
});
