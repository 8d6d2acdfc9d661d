import { VdcError } from "@vdc-os/core";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LeftUnserved } from "../src/server/left-unserved.ts";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const mark = { volumeId: "one" };
const full = new VdcError("RESOURCE_EXHAUSTED", "no space left");

it("is tried again until it can be served, twice a second where space is missing, and said once", async () => {
  let tries = 0;
  const left = new LeftUnserved(async () => {
    tries += 1;
    if (tries < 4) throw full;
  });
  await left.try(mark);
  expect(left.all).toEqual([{ volumeId: "one", why: "no space left", outOfSpace: true }]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect([tries, left.all.length]).toEqual([3, 1]);
  await vi.advanceTimersByTimeAsync(500);
  expect([tries, left.all.length]).toEqual([4, 0]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(tries).toBe(4);
  expect(process.stderr.write).toHaveBeenCalledTimes(1);
});

it("is tried less often for another reason, and not after it was forgotten or the process ends", async () => {
  const tries: string[] = [];
  const left = new LeftUnserved(async ({ volumeId }) => {
    tries.push(volumeId);
    throw new Error("its image is damaged");
  });
  for (const volumeId of ["one", "two", "three"]) await left.try({ volumeId });
  left.forget("two");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(tries).toEqual(["one", "two", "three", "one", "three"]);
  left.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(tries).toHaveLength(5);
  expect(left.all.map(({ volumeId, outOfSpace }) => [volumeId, outOfSpace])).toEqual([
    ["one", false],
    ["three", false],
  ]);
});
