import type { FacetAvailability } from "@vdc-os/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { storagePolicySpec, type StoragePolicyInput } from "../kinds/storage-policy-spec.ts";
import { type PlacementPool, placeVolume } from "./place-volume.ts";

const gib = 2 ** 30;
const available: FacetAvailability = { status: "available", limits: {}, evidence: "a test" };
const policyOf = (input: StoragePolicyInput) => storagePolicySpec.parse(input);

function pool(
  name: string,
  more: Partial<PlacementPool> = {},
  space: Partial<PlacementPool["capacity"]> = {},
): PlacementPool {
  return {
    name,
    schedulable: true,
    facets: { snapshots: available, qos: { status: "unavailable", reason: "it has no throttle" } },
    attributes: { media: "ssd", fencing: "enforced", thin: true, redundancy: 1 },
    labels: {},
    pendingBytes: 0,
    capacity: {
      totalBytes: 100 * gib,
      freeBytes: 50 * gib,
      allocatedBytes: 50 * gib,
      provisionedBytes: 100 * gib,
      reservedBytes: 0,
      maxOverSubscription: 4,
      alarms: [],
      ...space,
    },
    ...more,
  };
}

describe("a volume is placed", () => {
  const rejections: readonly [string, StoragePolicyInput, PlacementPool, string][] = [
    ["a facet that is absent", { facets: ["qos"] }, pool("a"), "has no facet 'qos': it has no throttle"],
    ["a facet that is not listed", { facets: ["epochs"] }, pool("a"), "has no facet 'epochs': it does not list it"],
    ["limits where there is no throttle", { qos: { iops: 1, bytesPerSecond: 0 } }, pool("a"), "has no facet 'qos'"],
    [
      "an attribute of another value",
      { attributes: { media: { in: ["nvme"] } } },
      pool("a"),
      "has attribute 'media' 'ssd', and must be 'nvme'",
    ],
    [
      "an attribute that is too low",
      { attributes: { redundancy: { atLeast: 2 } } },
      pool("a"),
      "and must be at least 2",
    ],
    [
      "an attribute that is not told",
      { attributes: { zone: { in: ["x"] } } },
      pool("a"),
      "does not tell its attribute 'zone'",
    ],
    ["a thin pool for a thick volume", { provisioning: "thick" }, pool("a"), "is thin, and must be thick"],
    ["content in the clear", { encryption: "required" }, pool("a"), "does not encrypt what it keeps"],
    [
      "a label that is missing",
      { requiredLabels: { tier: "gold" } },
      pool("a"),
      "has no label 'tier', and must have 'gold'",
    ],
    ["too little headroom", { headroom: 0.6 }, pool("a"), "must keep"],
    ["the policy's over-subscription", { maxOverSubscription: 1 }, pool("a"), "may promise 107374182400"],
    ["the operator's over-subscription", {}, pool("a", { maxOverSubscription: 1 }), "(107374182400, times 1)"],
    ["the provider's over-subscription", {}, pool("a", {}, { maxOverSubscription: 1.05 }), "times 1.05"],
    ["what is promised to others meanwhile", {}, pool("a", { pendingBytes: 295 * gib }), "would have promised"],
    ["a thick pool without the room", {}, pool("a", { attributes: { thin: false } }, { freeBytes: gib }), "bytes free"],
    [
      "a pool that is out of space",
      {},
      pool("a", {}, { alarms: [{ kind: "outOfSpace", threshold: 1, value: 1, message: "" }] }),
      "is out of space",
    ],
    ["a pool that takes nothing", {}, pool("a", { schedulable: false }), "takes no new volumes"],
    [
      "a pool that is ill",
      {},
      pool("a", { health: { condition: "abnormal", message: "disk gone" } }),
      "is not well: disk gone",
    ],
    [
      "a pool that does not answer",
      {},
      pool("a", { silent: "does not answer now: away" }),
      "does not answer now: away",
    ],
    ["old numbers", {}, pool("a", {}, { staleSince: 1 }), "its numbers are old"],
  ];

  test.each(rejections)("not with %s, and the reason is told", (_, input, candidate, reason) => {
    const decision = placeVolume({ capacityBytes: 10 * gib, policy: policyOf(input) }, [candidate]);
    expect(decision).toMatchObject({ placed: false });
    expect(decision.rejected.a).toContain(reason);
  });

  test("where all hosts that need it reach it; a pool that tells no hosts is reached by all", () => {
    const reachedBy = (name: string, ...accessibleHosts: string[]) => pool(name, { attributes: { accessibleHosts } });
    const pools = [reachedBy("rack-1", "h1", "h2"), reachedBy("rack-2", "h3"), pool("everywhere")];
    const decision = placeVolume({ capacityBytes: gib, hosts: ["h1", "h3"] }, pools);
    expect(decision).toMatchObject({
      placed: true,
      ranked: [{ storage: "everywhere" }],
      rejected: { "rack-1": "isn't reached by 'h3'", "rack-2": "isn't reached by 'h1'" },
    });
    expect(placeVolume({ capacityBytes: gib, hosts: [] }, pools).rejected).toEqual({});
  });

  test("where preferred labels are, then where it is well, then where most is free, then by name", () => {
    const policy = policyOf({ preferredLabels: { tier: "gold", rack: "r1" } });
    const pools = [
      pool("plain", {}, { freeBytes: 90 * gib }),
      pool("gold", { labels: { tier: "gold" } }),
      pool("gold-r1", { labels: { tier: "gold", rack: "r1" } }, { freeBytes: 20 * gib }),
      pool("ill", { health: { condition: "degraded", message: "" } }, { freeBytes: 95 * gib }),
      pool("also-plain", {}, { freeBytes: 90 * gib }),
    ];
    const decision = placeVolume({ capacityBytes: gib, policy }, pools);
    expect(decision.placed && decision.ranked.map(({ storage }) => storage)).toEqual([
      "gold-r1",
      "gold",
      "also-plain",
      "plain",
      "ill",
    ]);
    expect(decision.placed && decision.ranked[0]?.reason).toBe(
      "of 5 that fit, 2 of 2 preferred labels, 19 % free after it",
    );
  });

  test("on the provider that was named, though it takes no new volumes by itself; others say why not", () => {
    const decision = placeVolume({ capacityBytes: gib, storage: "b" }, [pool("a"), pool("b", { schedulable: false })]);
    expect(decision).toMatchObject({ placed: true, rejected: { a: "is not 'b', where it must be" } });
    expect(placeVolume({ capacityBytes: gib, storage: "c" }, [pool("a")]).rejected.c).toContain(
      "is not a storage provider",
    );
  });

  test("never against a limit, whatever the pools, and every pool is ranked or has a reason", () => {
    const someBytes = fc.integer({ min: 0, max: 200 }).map((count) => count * gib);
    const somePool = fc.record({
      total: someBytes,
      free: someBytes,
      provisioned: someBytes,
      reserved: someBytes,
      pending: someBytes,
      ratio: fc.constantFrom(0, 0.5, 1, 2, 4),
      thin: fc.boolean(),
      media: fc.constantFrom("ssd", "hdd"),
    });
    fc.assert(
      fc.property(
        fc.array(somePool, { maxLength: 6 }),
        someBytes,
        fc.constantFrom(0, 0.1, 0.5),
        fc.constantFrom(undefined, 1, 3),
        (shapes, capacityBytes, headroom, limit) => {
          const pools = shapes.map((shape, index) =>
            pool(
              `p${index}`,
              { attributes: { media: shape.media, thin: shape.thin }, pendingBytes: shape.pending },
              {
                totalBytes: shape.total,
                freeBytes: Math.min(shape.free, shape.total),
                provisionedBytes: shape.provisioned,
                reservedBytes: shape.reserved,
                maxOverSubscription: shape.ratio,
              },
            ),
          );
          const policy = policyOf({
            attributes: { media: { in: ["ssd"] } },
            headroom,
            ...(limit === undefined ? {} : { maxOverSubscription: limit }),
          });
          const request = { capacityBytes, policy };
          const decision = placeVolume(request, pools);
          expect(placeVolume(request, [...pools].reverse())).toEqual(
            decision.placed ? { ...decision, rejected: expect.anything() } : decision,
          );
          const ranked = decision.placed ? decision.ranked.map(({ storage }) => storage) : [];
          expect([...ranked, ...Object.keys(decision.rejected)].sort()).toEqual(pools.map(({ name }) => name).sort());
          for (const name of ranked) {
            const { capacity, attributes, pendingBytes } = pools.find(
              (candidate) => candidate.name === name,
            ) as PlacementPool;
            if (capacity === undefined) throw new Error("a pool without numbers was taken");
            const usable = Math.max(0, capacity.totalBytes - capacity.reservedBytes);
            const promised = capacity.provisionedBytes + pendingBytes + capacityBytes;
            for (const ratio of [limit, capacity.maxOverSubscription || undefined]) {
              if (ratio !== undefined) expect(promised).toBeLessThanOrEqual(usable * ratio);
            }
            expect(attributes.media).toBe("ssd");
            expect(capacity.freeBytes).toBeGreaterThanOrEqual(headroom * capacity.totalBytes);
            if (attributes.thin === false)
              expect(capacity.freeBytes).toBeGreaterThanOrEqual(capacityBytes + pendingBytes);
          }
        },
      ),
      { seed: 7, numRuns: process.env.VDC_DEEP ? 20_000 : 500 },
    );
  });
});
