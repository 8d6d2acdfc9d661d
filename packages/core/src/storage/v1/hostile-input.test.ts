import { describe, expect, test } from "vitest";
import { storageProvider } from "./storage-provider.ts";

/** Whether the boundary lets an input of an operation, `createVolume` or `qos.setQos`, through to the provider. */
function accepts(path: string, input: unknown): boolean {
  const [facet = "", operation] = path.split(".");
  const { operations, facets } = storageProvider;
  const definition = operation === undefined ? operations[facet] : facets[facet]?.[operation];
  if (definition === undefined) throw new Error(`there is no operation '${path}'`);
  return definition.input.safeParse(input).success;
}

describe("what no provider ever sees", () => {
  const create = (more: object) => accepts("createVolume", { name: "disk", capacityBytes: 4096, ...more });

  test("a size that is negative, a fraction, no number, or beyond 2^53-1", () => {
    expect(create({})).toBe(true);
    expect(create({ capacityBytes: Number.MAX_SAFE_INTEGER })).toBe(true);
    for (const capacityBytes of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "4096", 4096n, null]) {
      expect(create({ capacityBytes })).toBe(false);
    }
  });

  test("a name that is long, empty, or holds what a path or a shell would read", () => {
    expect(create({ name: "x".repeat(63) })).toBe(true);
    for (const name of [
      "",
      "x".repeat(64),
      "x".repeat(2 ** 20),
      "A",
      "a/b",
      "../a",
      ".a",
      "a.",
      "-a",
      "a b",
      "a\0",
      "é",
      "a_b",
    ]) {
      expect(create({ name })).toBe(false);
    }
    expect(accepts("snapshots.createSnapshot", { name: "../a", volumeId: "v" })).toBe(false);
    expect(accepts("groupSnapshots.createGroupSnapshot", { name: "g", volumeIds: [] })).toBe(false);
  });

  test("an id that is empty or long, a page that is too large, and a token without end", () => {
    const get = (volumeId: string) => accepts("getVolume", { volumeId });
    expect([get("x".repeat(256)), get("x".repeat(257)), get("")]).toEqual([true, false, false]);
    const list = (input: object) => accepts("listVolumes", input);
    expect([list({ limit: 1000 }), list({ limit: 1001 }), list({ limit: 0 }), list({ limit: -1 })]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(list({ pageToken: "x".repeat(1025) })).toBe(false);
  });

  test("a generation of nobody, and limits below nothing", () => {
    const attach = (generation: number) =>
      accepts("attachVolume", { volumeId: "v", host: "h", access: "readWrite", generation });
    expect([attach(1), attach(0), attach(-1), attach(1.5), attach(2 ** 53)]).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
    const limit = (policy: object) => accepts("qos.setQos", { volumeId: "v", policy });
    expect(limit({ iops: 1, bytesPerSecond: 0 })).toBe(true);
    expect(limit({ iops: -1, bytesPerSecond: 0 })).toBe(false);
    expect(limit({ iops: 1, bytesPerSecond: 2 ** 53 })).toBe(false);
  });
});
