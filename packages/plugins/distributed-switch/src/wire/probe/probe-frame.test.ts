import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mangled, wireRuns } from "../test/mangled.ts";
import { WireError } from "../wire-error.ts";
import { decodeProbe, encodeProbe, isProbe, leastProbeBytes, type Probe, probeMac } from "./probe-frame.ts";

const probe: fc.Arbitrary<Probe> = fc.record({
  kind: fc.constantFrom("request" as const, "reply" as const),
  from: fc.stringMatching(/^[a-zä0-9-]{1,32}$/),
  to: fc.stringMatching(/^[a-zä0-9-]{1,32}$/),
  vlan: fc.nat({ max: 4094 }),
  frameBytes: fc.integer({ min: 200, max: 9230 }),
  sequence: fc.nat({ max: 65535 }),
  nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
});

describe("probes", () => {
  it("round-trip, tagged or not, in frames of the asked length", () => {
    fc.assert(
      fc.property(probe, fc.boolean(), (said, tagged) => {
        const frame = encodeProbe(said, { tagged });
        expect(frame.length).toBe(said.frameBytes + (tagged ? 4 : 0));
        expect(isProbe(frame)).toBe(true);
        expect(decodeProbe(frame)).toEqual(said);
      }),
      wireRuns,
    );
  });

  it("come from addresses that are locally administered, unicast, and each member's own", () => {
    expect(probeMac("host-1")).toBe(probeMac("host-1"));
    expect(probeMac("host-1")).not.toBe(probeMac("host-2"));
    expect(Math.floor(probeMac("host-1") / 2 ** 40)).toBe(2);
  });

  it("refuse lengths, names and VLANs that they can't have", () => {
    const [good] = fc.sample(probe, { seed: 1, numRuns: 1 });
    const said = { ...(good ?? expect.fail()), from: "a", to: "b" };
    expect(leastProbeBytes(said)).toBe(60);
    for (const bad of [
      { frameBytes: 59 },
      { frameBytes: 9231 },
      { vlan: 4095 },
      { from: "" },
      { to: "x".repeat(65) },
    ]) {
      expect(() => encodeProbe({ ...said, ...bad })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
  });

  it("are refused with a typed error when they are malformed or cut", () => {
    const good = fc.sample(probe, { seed: 2, numRuns: 4 }).map((said) => encodeProbe({ ...said, frameBytes: 210 }));
    fc.assert(
      fc.property(mangled(good), (bytes) => {
        try {
          decodeProbe(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
          expect(error).toMatchObject({ code: "MALFORMED" });
        }
      }),
      wireRuns,
    );
    expect(() => decodeProbe((good[0] ?? expect.fail()).subarray(0, 205))).toThrow(/205 octets that were 210/);
  });
});
