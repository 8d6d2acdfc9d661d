import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mangled, wireRuns } from "../test/mangled.ts";
import { WireError } from "../wire-error.ts";
import { encodeLldp, LLDP_CAPABILITIES, type LldpAdvertisement, type LldpId } from "./lldp-frame.ts";
import { decodeLldp } from "./lldp-reader.ts";

const id: fc.Arbitrary<LldpId> = fc.oneof(
  fc.constant<LldpId>({ kind: "mac", value: "52:54:00:00:00:01" }),
  fc.constantFrom("192.0.2.1", "2001:db8::1").map((value): LldpId => ({ kind: "address", value })),
  fc.stringMatching(/^[a-z0-9ü/-]{1,60}$/).map((value): LldpId => ({ kind: "interfaceName", value })),
  fc.stringMatching(/^[a-z0-9ü/-]{1,60}$/).map((value): LldpId => ({ kind: "local", value })),
  fc.constant<LldpId>({ kind: "other", subtype: 1, value: "c0ffee" }),
);
const text = fc.option(fc.stringMatching(/^[a-z ]{0,90}$/), { nil: undefined });
const advertisement: fc.Arbitrary<LldpAdvertisement> = fc.record({
  chassisId: id,
  portId: id,
  ttlSeconds: fc.integer({ min: 1, max: 65535 }),
  portDescription: text,
  systemName: text,
  systemDescription: text,
  capabilities: fc.option(
    fc.record({ supported: fc.subarray([...LLDP_CAPABILITIES]), enabled: fc.subarray([...LLDP_CAPABILITIES]) }),
    { nil: undefined },
  ),
  managementAddresses: fc.array(
    fc.record({ address: fc.constantFrom("192.0.2.9", "2001:db8::9"), interfaceIndex: fc.nat({ max: 1000 }) }),
    { maxLength: 3 },
  ),
  portVlan: fc.option(fc.nat({ max: 4094 }), { nil: undefined }),
  maxFrameSize: fc.option(fc.nat({ max: 65535 }), { nil: undefined }),
});

describe("LLDP frames", () => {
  it("round-trip", () => {
    fc.assert(
      fc.property(advertisement, (said) => {
        const frame = encodeLldp(said, 0x5254_0000_0001);
        expect(frame.length).toBeGreaterThanOrEqual(60);
        expect(decodeLldp(frame)).toEqual(said);
      }),
      wireRuns,
    );
  });

  it("go to the nearest bridge; a withdrawal says whose and no more", () => {
    const said: LldpAdvertisement = {
      chassisId: { kind: "mac", value: "52:54:00:00:00:01" },
      portId: { kind: "interfaceName", value: "eth0" },
      ttlSeconds: 0,
      systemName: "host-1",
    };
    const frame = encodeLldp(said, 1);
    expect(frame.subarray(0, 14).toString("hex")).toBe("0180c200000e00000000000188cc");
    expect(decodeLldp(frame).systemName).toBeUndefined();
    expect(decodeLldp(frame).ttlSeconds).toBe(0);
  });

  it("refuse ids that have no encoding", () => {
    const chassisId: LldpId = { kind: "local", value: "host" };
    for (const portId of [
      { kind: "local", value: "" },
      { kind: "local", value: "x".repeat(256) },
      { kind: "mac", value: "eth0" },
      { kind: "address", value: "host" },
    ] as const) {
      expect(() => encodeLldp({ chassisId, portId, ttlSeconds: 1 }, 1)).toThrow(
        expect.objectContaining({ code: "INVALID_ARGUMENT" }),
      );
    }
  });

  it("are refused with a typed error when they are malformed", () => {
    const good = fc.sample(advertisement, { seed: 2, numRuns: 5 }).map((said) => encodeLldp(said, 1));
    fc.assert(
      fc.property(mangled(good), (bytes) => {
        if (bytes.length >= 14) bytes.writeUInt16BE(0x88cc, 12);
        try {
          const read = decodeLldp(bytes);
          expect(read.managementAddresses?.length).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
          expect(error).toMatchObject({ code: "MALFORMED" });
        }
      }),
      wireRuns,
    );
  });

  it("must begin with the mandatory parts, once each", () => {
    const local: LldpId = { kind: "local", value: "host" };
    const frame = encodeLldp({ chassisId: local, portId: local, ttlSeconds: 9, systemName: "x".repeat(60) }, 1);
    const ttl = Buffer.from("06020078", "hex");
    const swapped = Buffer.concat([frame.subarray(0, 14), ttl, frame.subarray(14)]);
    // The last two octets are the end of the unit.
    const twice = Buffer.concat([frame.subarray(0, -2), ttl, frame.subarray(-2)]);
    expect(decodeLldp(frame).ttlSeconds).toBe(9);
    for (const bad of [swapped, twice]) {
      expect(() => decodeLldp(bad)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
    }
    expect(() => decodeLldp(frame.subarray(0, 20))).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});
