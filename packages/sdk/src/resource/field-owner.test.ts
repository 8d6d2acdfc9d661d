import type { Json, JsonObject } from "@vdc-os/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changeFields, type FieldOwners, keepFieldsOfOthers, releaseFields } from "./field-owner.ts";
import { arePathsRelated, fieldsOf, isEqualJson, mergeJson, pathSegments, valueAt, withValueAt } from "./field-path.ts";

const leaf = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom("x", "y"), fc.boolean(), fc.constant(null));
const { spec } = fc.letrec<{ spec: JsonObject; value: Json }>((tie) => ({
  spec: fc.dictionary(fc.constantFrom("a", "b", "c/d", "e~f", "__proto__"), tie("value"), {
    maxKeys: 3,
  }) as fc.Arbitrary<JsonObject>,
  value: fc.oneof({ maxDepth: 2 }, leaf, fc.array(leaf, { maxLength: 2 }), tie("spec")) as fc.Arbitrary<Json>,
}));
const owner = fc.constantFrom("user", "ha", "appspeed");
const runs = { seed: 20_260_103, numRuns: process.env.VDC_DEEP ? 50_000 : 2_000 };

interface Held {
  readonly spec: JsonObject;
  readonly owners: FieldOwners;
}

function apply(held: Held, by: string, patch: JsonObject, force = false): Held | undefined {
  const desired = mergeJson(held.spec, patch);
  const claims = fieldsOf(patch).keys();
  const { owners, conflicts } = changeFields({ current: held.spec, owners: held.owners, desired, owner: by, claims });
  return conflicts.length > 0 && !force ? undefined : { spec: desired, owners };
}

const held = fc.array(fc.tuple(owner, spec), { maxLength: 5 }).map((patches) =>
  patches.reduce<Held>((current, [by, patch]) => apply(current, by, patch, true) ?? current, {
    spec: {},
    owners: {},
  }),
);

describe("field owners", () => {
  test("each held field is there, and has one owner", () => {
    fc.assert(
      fc.property(held, (current) => {
        const fields = fieldsOf(current.spec);
        for (const path of Object.keys(current.owners)) expect(fields.has(path)).toBe(true);
      }),
      runs,
    );
  });

  test("without force, no field of another owner changes", () => {
    fc.assert(
      fc.property(held, owner, spec, (current, by, patch) => {
        const next = apply(current, by, patch);
        if (next === undefined) return;
        for (const [path, holder] of Object.entries(current.owners)) {
          if (holder === by) continue;
          expect(isEqualJson(valueAt(next.spec, path), valueAt(current.spec, path))).toBe(true);
          expect(next.owners[path]).toBe(holder);
        }
      }),
      runs,
    );
  });

  test("with force, the fields of a patch are the owner's, but for those that were so already", () => {
    fc.assert(
      fc.property(held, owner, spec, (current, by, patch) => {
        const next = apply(current, by, patch, true) as Held;
        for (const path of fieldsOf(patch).keys()) {
          if (!fieldsOf(next.spec).has(path)) continue;
          const wasSame = isEqualJson(valueAt(current.spec, path), valueAt(next.spec, path));
          expect(next.owners[path]).toBe(wasSame ? (current.owners[path] ?? by) : by);
        }
      }),
      runs,
    );
  });

  test("the same patch again changes nothing", () => {
    fc.assert(
      fc.property(held, owner, spec, (current, by, patch) => {
        const once = apply(current, by, patch);
        if (once !== undefined) expect(apply(once, by, patch)).toEqual(once);
      }),
      runs,
    );
  });

  test("patches of two owners that touch nothing of each other commute", () => {
    fc.assert(
      fc.property(held, spec, spec, (current, first, second) => {
        const [one, two] = [[...fieldsOf(first).keys()], [...fieldsOf(second).keys()]];
        fc.pre(!one.some((a) => two.some((b) => arePathsRelated(a, b))));
        const run = (order: readonly (readonly [string, JsonObject])[]): Held | undefined =>
          order.reduce<Held | undefined>((now, [by, patch]) => now && apply(now, by, patch), current);
        const [ab, ba] = [
          run([
            ["ha", first],
            ["user", second],
          ]),
          run([
            ["user", second],
            ["ha", first],
          ]),
        ];
        if (ab === undefined || ba === undefined) return;
        expect(isEqualJson(ab.spec, ba.spec)).toBe(true);
        expect(ab.owners).toEqual(ba.owners);
      }),
      runs,
    );
  });

  test("a whole spec never takes anything from others unseen: what it leaves out stays, what it replaces is a conflict", () => {
    fc.assert(
      fc.property(held, owner, spec, (current, by, wanted) => {
        const kept = keepFieldsOfOthers(wanted, current.spec, current.owners, by);
        const change = { current: current.spec, owners: current.owners, desired: kept, owner: by, claims: [] };
        const conflicting = changeFields(change).conflicts.map(({ path }) => path);
        for (const [path, holder] of Object.entries(current.owners)) {
          if (holder === by || conflicting.includes(path)) continue;
          expect(isEqualJson(valueAt(kept, path), valueAt(current.spec, path))).toBe(true);
        }
        // Nothing that was asked for is dropped.
        for (const [path, value] of fieldsOf(wanted)) {
          if (!isEqualJson(value, {})) expect(isEqualJson(valueAt(kept, path), value)).toBe(true);
        }
      }),
      runs,
    );
  });

  test("releasing frees the owner's own fields alone", () => {
    const owners = { "/a": "ha", "/b/c": "ha", "/b/d": "user", "/bc": "ha" };
    expect(releaseFields(owners, "ha", ["/b"])).toEqual({ "/a": "ha", "/b/d": "user", "/bc": "ha" });
    expect(releaseFields(owners, "ha", "all")).toEqual({ "/b/d": "user" });
  });
});

describe("field paths", () => {
  test("name each field, and find it again", () => {
    fc.assert(
      fc.property(spec, (value) => {
        let rebuilt: JsonObject = {};
        for (const [path, member] of fieldsOf(value)) {
          expect(isEqualJson(valueAt(value, path), member)).toBe(true);
          rebuilt = withValueAt(rebuilt, path, member);
        }
        expect(isEqualJson(rebuilt, value)).toBe(true);
      }),
      runs,
    );
  });

  test("follow RFC 6901, section 3", () => {
    expect(pathSegments("/c~1d/e~0f/~01")).toEqual(["c/d", "e~f", "~1"]);
  });

  test("are no way to a prototype", () => {
    const patch = JSON.parse('{"__proto__": {"polluted": true}}') as JsonObject;
    const merged = mergeJson({}, patch);
    expect((merged as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.hasOwn(merged, "__proto__")).toBe(true);
    expect(valueAt({}, "/__proto__/toString")).toBeUndefined();
  });
});
