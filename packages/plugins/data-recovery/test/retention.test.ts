import { expect, it } from "vitest";
import { choosePoints } from "../src/retention/choose-points.ts";

const at = (text: string): { readonly createdAt: number } => ({ createdAt: Date.parse(text) });
const points = [
  at("2026-01-31T23:59:00Z"),
  at("2026-02-01T00:01:00Z"),
  at("2026-02-01T12:00:00Z"),
  at("2026-02-02T00:00:00Z"),
  at("2026-02-04T08:00:00Z"),
  at("2026-02-09T08:00:00Z"),
];
const kept = (policy: Parameters<typeof choosePoints>[1]): readonly string[] =>
  [...choosePoints(points, policy)].map(({ createdAt }) => new Date(createdAt).toISOString().slice(5, 16)).sort();

it("keeps the newest points, and one always", () => {
  expect(kept({ last: 2 })).toEqual(["02-04T08:00", "02-09T08:00"]);
  expect(kept({ last: 0 })).toEqual(["02-09T08:00"]);
  expect(kept({})).toHaveLength(6);
});

it("keeps the newest of each day, week and month that has any, in UTC", () => {
  expect(kept({ daily: 4 })).toEqual(["02-01T12:00", "02-02T00:00", "02-04T08:00", "02-09T08:00"]);
  // 2026-02-02 is a Monday.
  expect(kept({ weekly: 3 })).toEqual(["02-01T12:00", "02-04T08:00", "02-09T08:00"]);
  expect(kept({ monthly: 12 })).toEqual(["01-31T23:59", "02-09T08:00"]);
});

it("keeps what any of the rules keeps", () => {
  expect(kept({ last: 1, daily: 2, monthly: 2 })).toEqual(["01-31T23:59", "02-04T08:00", "02-09T08:00"]);
});
