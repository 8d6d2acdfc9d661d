import { expect, it } from "vitest";
import { z } from "zod";
import { json } from "./json.ts";

it("takes every JSON value, and gives it back as it is", () => {
  for (const text of [
    "null",
    "false",
    "-1.5",
    '""',
    "[]",
    "{}",
    '[1,[2,[null]],{"a":{"":[]}}]',
    '{"__proto__":{"a":1}}',
  ]) {
    const value: unknown = JSON.parse(text);
    expect(json.parse(value)).toBe(value);
    expect(JSON.stringify(z.object({ value: json }).parse({ value }).value)).toBe(text);
  }
});

it("refuses what JSON has no text for", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  cycle.again = cycle;
  for (const value of [undefined, Number.NaN, Number.POSITIVE_INFINITY, 1n, Symbol("s"), () => 1, new Date(), cycle]) {
    expect(json.safeParse(value).success).toBe(false);
    expect(json.safeParse([value]).success).toBe(false);
    expect(json.safeParse({ value }).success).toBe(false);
  }
  expect(z.object({ value: json }).safeParse({}).success).toBe(false);
});

it("refuses what is nested too deeply, without running out of stack", () => {
  const nested = (levels: number): unknown => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);
  expect(json.safeParse(nested(1_000)).success).toBe(true);
  expect(json.safeParse(nested(1_001)).success).toBe(false);
  expect(json.safeParse(nested(100_000)).success).toBe(false);
});

it("is any value in JSON Schema", () => {
  expect(z.toJSONSchema(z.object({ value: json }))).toMatchObject({ properties: { value: {} }, required: ["value"] });
});
