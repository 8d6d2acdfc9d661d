import { describe, expect, test } from "vitest";
import { poolCapacity, storageAttributes, volumeHealth } from "./pool.ts";

describe("a pool's facts", () => {
  test("what an earlier provider tells is still right: the newer facts are optional", () => {
    const capacity = {
      totalBytes: 100,
      freeBytes: 60,
      allocatedBytes: 40,
      provisionedBytes: 400,
      reservedBytes: 0,
      maxOverSubscription: 4,
      alarms: [],
    };
    expect(poolCapacity.parse(capacity)).toEqual(capacity);
    expect(volumeHealth.parse({ condition: "healthy", message: "well" })).toEqual({
      condition: "healthy",
      message: "well",
    });
  });

  test("an unknown reason, a negative size and a limit below zero are refused", () => {
    const reasons = [{ code: "haunted", message: "by a ghost" }];
    expect(volumeHealth.safeParse({ condition: "degraded", message: "", reasons }).success).toBe(false);
    const capacity = {
      totalBytes: -1,
      freeBytes: 0,
      allocatedBytes: 0,
      provisionedBytes: 0,
      reservedBytes: 0,
      alarms: [],
    };
    expect(poolCapacity.safeParse({ ...capacity, maxOverSubscription: 1 }).success).toBe(false);
    expect(poolCapacity.safeParse({ ...capacity, totalBytes: 1, maxOverSubscription: -1 }).success).toBe(false);
  });

  test("of attributes, the well-known ones are read with their types, and a vendor's own are left out", () => {
    expect(storageAttributes.parse({ fencing: "enforced", media: "ssd", "vendor-tier": 3 })).toEqual({
      fencing: "enforced",
      media: "ssd",
    });
    expect(storageAttributes.safeParse({ thin: "yes" }).success).toBe(false);
  });
});
