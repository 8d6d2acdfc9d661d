import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { disk, type DiskSpec } from "../../test/disk-kind.ts";
import { openPlane } from "../../test/open-plane.ts";
import type { Policy } from "./admission.ts";
import type { Quotas } from "./quota.ts";

const spec = { sizeBytes: 1024 };
const key = { tenant: "default", name: "a" };

/** What a rejected call says, or that it was not rejected. */
async function refusal(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => "accepted",
    (error: unknown) => error,
  );
}

const byteLimit: Quotas = { "*": { Disk: { count: 3, bytes: 4096 } }, rich: { Disk: { bytes: 2 ** 40 } } };

describe("admission", () => {
  test("names every problem of the schema at once, and where it is", async () => {
    const { store } = openPlane().plane;
    const broken = { sizeBytes: -1, format: "vmdk", limits: { iops: "many" } } as never;
    expect(await refusal(store.create(disk, { name: "a", spec: broken }))).toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "VDC_ADMISSION_REFUSED",
      details: {
        problems: [
          { step: "schema", path: "/sizeBytes" },
          { step: "schema", path: "/format" },
          { step: "schema", path: "/limits/iops" },
        ],
      },
    });
  });

  test("names what the kind, policies and quota have against it in one error", async () => {
    const policies: Policy[] = [
      {
        name: "no-a",
        decide: ({ metadata }) => (metadata.name === "a" ? { type: "deny", reason: "no 'a' here" } : { type: "allow" }),
      },
      {
        name: "broken",
        decide: () => {
          throw new Error("out of order");
        },
      },
      { name: "other-kinds", kinds: ["VirtualMachine"], decide: () => ({ type: "deny", reason: "never asked" }) },
    ];
    const { store } = openPlane({ policies, quotas: byteLimit }).plane;
    expect(await refusal(store.create(disk, { name: "a", spec: { sizeBytes: 9999 } }))).toMatchObject({
      code: "INVALID_ARGUMENT",
      retryable: false,
      details: {
        problems: [
          { step: "policy", message: "policy 'no-a': no 'a' here" },
          { step: "policy", message: "policy 'broken': it failed: out of order" },
          { step: "validate", path: "/sizeBytes" },
          { step: "quota" },
        ],
      },
    });
    expect(await refusal(store.create(disk, { name: "a", spec }))).toMatchObject({ code: "PERMISSION_DENIED" });
  });

  test("lets policies change an object, whose schema is checked again", async () => {
    const policies: Policy[] = [
      {
        name: "tier",
        decide: (object) => ({
          type: "mutate",
          spec: {
            ...(object.spec as DiskSpec),
            limits: { iops: object.metadata.labels.tier === "gold" ? 9000 : "few" },
          },
          annotations: { "policy/tier": "seen" },
        }),
      },
    ];
    const { store } = openPlane({ policies }).plane;
    const { object } = await store.create(disk, { name: "a", spec, labels: { tier: "gold" } });
    expect(object.spec.limits.iops).toBe(9000);
    expect(object.metadata.annotations).toEqual({ "policy/tier": "seen" });
    expect(object.metadata.fieldOwners).toEqual({ "/sizeBytes": "user" });
    expect((await store.create(disk, { name: "a", spec, labels: { tier: "gold" } })).created).toBe(false);
    expect(await refusal(store.create(disk, { name: "b", spec }))).toMatchObject({
      code: "INVALID_ARGUMENT",
      details: { problems: [{ step: "schema", path: "/limits/iops" }] },
    });
  });

  test("keeps what is immutable, and what the kind says of changes", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec });
    expect(await refusal(store.update(disk, key, { ...spec, format: "raw" }))).toMatchObject({
      code: "FAILED_PRECONDITION",
      details: { problems: [{ step: "immutable", path: "/format" }] },
    });
    expect(await refusal(store.update(disk, key, { sizeBytes: 512 }))).toMatchObject({
      details: { problems: [{ step: "validate", path: "/sizeBytes", message: "cannot shrink" }] },
    });
  });
});

describe("quota", () => {
  test("holds by tenant and kind, in count and in bytes, and is given back", async () => {
    const { store } = openPlane({ quotas: byteLimit }).plane;
    await store.create(disk, { name: "a", spec });
    await store.create(disk, { name: "b", spec: { sizeBytes: 2048 } });
    expect(await refusal(store.create(disk, { name: "c", spec: { sizeBytes: 2048 } }))).toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      retryable: false,
      message: expect.stringContaining("bytes of Disk would be 5120, the limit is 4096"),
    });
    expect(await refusal(store.update(disk, key, { sizeBytes: 4096 }))).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await store.create(disk, { name: "c", spec: { sizeBytes: 512 } });
    expect(await refusal(store.create(disk, { name: "d", spec: { sizeBytes: 512 } }))).toMatchObject({
      message: expect.stringContaining("count of Disk would be 4, the limit is 3"),
    });
    await store.create(disk, { tenant: "rich", name: "big", spec: { sizeBytes: 2 ** 35 } });
    await store.create(disk, { tenant: "other", name: "a", spec: { sizeBytes: 4096 } });
    // What is on its way out still uses what it uses.
    await store.delete(disk, { ...key, name: "b" });
    expect(await refusal(store.create(disk, { name: "d", spec }))).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await store.removeFinalizer(disk, { ...key, name: "b" }, "test.disk");
    await store.create(disk, { name: "d", spec });
  });

  test("is never exceeded by creates at once, and counts what is there", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 12 }), async (sizes) => {
        const { plane, state } = openPlane({ quotas: byteLimit });
        const { store } = plane;
        await Promise.all(
          sizes.map((size, index) =>
            refusal(store.create(disk, { name: `d${index}`, spec: { sizeBytes: size * 512 } })),
          ),
        );
        const { items } = await store.list(disk);
        const used = items.reduce((sum, object) => sum + object.spec.sizeBytes, 0);
        expect(items.length).toBeLessThanOrEqual(3);
        expect(used).toBeLessThanOrEqual(4096);
        const [usage] = state.entries("usage/");
        expect(usage?.value).toEqual(items.length === 0 ? undefined : { count: items.length, bytes: used });
      }),
      { seed: 20_260_107, numRuns: process.env.VDC_DEEP ? 2_000 : 100 },
    );
  });

  test("that is lowered below what is used forbids more, not less", async () => {
    let limit = 10_240;
    const { store } = openPlane({ quotas: () => ({ default: { Disk: { count: limit } } }) }).plane;
    await store.create(disk, { name: "a", spec });
    limit = 0;
    await store.update(disk, key, { sizeBytes: 2048 });
    expect(await refusal(store.create(disk, { name: "b", spec }))).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  });
});
