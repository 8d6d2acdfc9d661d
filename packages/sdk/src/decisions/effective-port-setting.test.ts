import { isVdcError } from "@vdc-os/core";
import { portSetting } from "@vdc-os/core/network/v1";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PortPolicy, portPolicyNames } from "../kinds/port-policy.ts";
import { defaultPortSetting, effectivePortSetting } from "./effective-port-setting.ts";

const group = { name: "web", policy: { vlan: { kind: "access", id: 10 } }, overrides: ["blocked"] } as const;
const runs = { seed: 7, numRuns: process.env.VDC_DEEP ? 20_000 : 500 };

const shaping = fc.record({
  averageBitsPerSecond: fc.integer({ min: 1 }),
  peakBitsPerSecond: fc.integer({ min: 1 }),
  burstBytes: fc.integer({ min: 1 }),
  packetsPerSecond: fc.nat(),
});

const policy: fc.Arbitrary<PortPolicy> = fc.record(
  {
    vlan: fc.oneof(
      fc.constant({ kind: "none" as const }),
      fc.integer({ min: 1, max: 4094 }).map((id) => ({ kind: "access" as const, id })),
    ),
    blocked: fc.boolean(),
    security: fc.record({ promiscuous: fc.boolean(), forgedTransmits: fc.boolean(), macChanges: fc.boolean() }),
    macLearning: fc.record({
      enabled: fc.boolean(),
      limit: fc.nat({ max: 9 }),
      whenFull: fc.constantFrom("drop" as const, "flood" as const),
      floodUnknown: fc.boolean(),
    }),
    teaming: fc.record({
      policy: fc.constantFrom("failoverOrder" as const, "lacp" as const),
      active: fc.subarray(["up1", "up2"]),
      standby: fc.constant([]),
      failback: fc.boolean(),
      notifySwitches: fc.boolean(),
    }),
    shapingIn: shaping,
    shapingOut: shaping,
    filters: fc.subarray([
      { name: "web", direction: "in" as const, match: { protocol: 6 }, action: { kind: "accept" as const } },
      { name: "rest", direction: "both" as const, match: {}, action: { kind: "drop" as const } },
    ]),
    dhcp: fc.constant({
      ...{ subnet: "192.0.2.0/24", serverAddress: "192.0.2.1", serverMac: "52:54:00:00:00:01" },
      ...{ dnsServers: [], leaseSeconds: 60 },
    }),
  },
  { requiredKeys: [] },
);

describe("effectivePortSetting", () => {
  it("takes each setting from the innermost place that has it", () => {
    expect(effectivePortSetting({ vlan: { kind: "access", id: 1 } }, group, { blocked: true })).toEqual({
      ...defaultPortSetting,
      vlan: { kind: "access", id: 10 },
      blocked: true,
    });
  });

  it("refuses what the port group does not let a port set, and names it", () => {
    expect(() => effectivePortSetting({}, group, { vlan: { kind: "none" } })).toThrowError(
      /'web' does not let a port set 'vlan'/,
    );
  });

  it("is, for any policies, what a provider takes: each setting whole, from where it was said last, or the default", () => {
    fc.assert(
      fc.property(policy, policy, policy, fc.subarray([...portPolicyNames]), (above, own, port, overrides) => {
        const before = structuredClone([above, own, port]);
        const group = { name: "g", policy: own, overrides };
        const refused = Object.keys(port).filter((name) => !(overrides as readonly string[]).includes(name));
        try {
          const merged = effectivePortSetting(above, group, port);
          expect(refused).toEqual([]);
          expect(portSetting.parse(merged)).toEqual(merged);
          for (const name of portPolicyNames) {
            expect(merged[name]).toEqual(port[name] ?? own[name] ?? above[name] ?? defaultPortSetting[name]);
          }
          // What a port need not say changes nothing when it is said.
          expect(effectivePortSetting(above, { ...group, overrides: portPolicyNames }, merged)).toEqual(merged);
        } catch (error) {
          if (!isVdcError(error)) throw error;
          expect({ code: error.code, reason: error.reason }).toEqual({
            code: "PERMISSION_DENIED",
            reason: "VDC_PORT_OVERRIDE_REFUSED",
          });
          expect(refused.length).toBeGreaterThan(0);
          for (const name of refused) expect(error.message).toContain(`'${name}'`);
        }
        expect([above, own, port]).toEqual(before);
      }),
      runs,
    );
  });
});
