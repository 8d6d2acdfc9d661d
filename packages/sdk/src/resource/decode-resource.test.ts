import type { JsonObject } from "@vdc-os/core";
import { createTestClock } from "@vdc-os/core/testing";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { MemoryState } from "../../test/memory-state-store.ts";
import { openPlane } from "../../test/open-plane.ts";
import { defineKind } from "./kind.ts";

const old = defineKind<{ readonly sizeGib: number }, Record<never, never>>()({
  kind: "Disk",
  apiVersion: "v0",
  spec: z.object({ sizeGib: z.number() }),
  status: z.object({}),
  initialStatus: {},
});

const current = defineKind<{ readonly sizeBytes: number }, Record<never, never>>()({
  kind: "Disk",
  apiVersion: "v1",
  spec: z.object({ sizeBytes: z.int() }),
  status: z.object({}),
  initialStatus: {},
  convert: {
    v0: ({ spec, status }) => {
      const { sizeGib, ...rest } = spec as JsonObject & { readonly sizeGib: number };
      return { spec: { ...rest, sizeBytes: sizeGib * 2 ** 30 }, status };
    },
  },
});

const key = { tenant: "default", name: "a" };

describe("an object that an older release stored", () => {
  test("is read as the current version, and stored so with the next write", async () => {
    const memory = new MemoryState();
    await openPlane({ memory, kinds: [old] }).plane.store.create(old, { name: "a", spec: { sizeGib: 2 } });
    const clock = createTestClock();
    const { plane } = openPlane({ memory, kinds: [current], clock });
    await plane.start();
    expect(plane.cache.get(current, key)).toMatchObject({ apiVersion: "v1", spec: { sizeBytes: 2 ** 31 } });
    expect((await plane.store.create(current, { name: "a", spec: { sizeBytes: 2 ** 31 } })).created).toBe(false);
    expect(memory.entries("objects/")[0]?.value).toMatchObject({ apiVersion: "v0" });
    await plane.store.update(current, key, { sizeBytes: 2 ** 32 });
    const stored = memory.entries("objects/")[0]?.value;
    expect(stored).toMatchObject({ apiVersion: "v1", spec: { sizeBytes: 2 ** 32 } });
    expect(stored).toHaveProperty(["metadata", "fieldOwners"], { "/sizeBytes": "user" });
    await plane.stop();
  });

  test("that cannot be converted is an error for who asks, and is left out of the cache", async () => {
    const memory = new MemoryState();
    const newer = defineKind<{ readonly sizeBytes: number }, Record<never, never>>()({ ...current, apiVersion: "v2" });
    await openPlane({ memory, kinds: [newer] }).plane.store.create(newer, { name: "a", spec: { sizeBytes: 1 } });
    const { plane } = openPlane({ memory, kinds: [current], clock: createTestClock() });
    await plane.start();
    expect(plane.cache.all()).toEqual([]);
    await expect(plane.store.get(current, key)).rejects.toMatchObject({ reason: "VDC_API_VERSION_UNKNOWN" });
    await plane.stop();

    const wrong = defineKind<{ readonly sizeBytes: number }, Record<never, never>>()({
      ...current,
      apiVersion: "v3",
      convert: { v2: () => ({ spec: { sizeBytes: "large" }, status: {} }) },
    });
    await expect(openPlane({ memory, kinds: [wrong] }).plane.store.get(wrong, key)).rejects.toMatchObject({
      code: "DATA_LOSS",
      reason: "VDC_CONVERSION_FAILED",
    });
  });
});

test("kinds are named as kinds are", () => {
  expect(() => defineKind()({ ...current, kind: "disk" } as never)).toThrow("must be CamelCase");
  expect(() => defineKind()({ ...current, apiVersion: "1" } as never)).toThrow("must be such as 'v1'");
});
