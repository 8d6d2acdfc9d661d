import { describe, expect, it } from "vitest";
import { createTestClock } from "./test-clock.ts";
import { createTestRandom } from "./test-random.ts";

describe("the test clock", () => {
  it("stands still, and runs what comes due in order of time, timers of timers included", async () => {
    const clock = createTestClock({ now: 1_000 });
    const log: string[] = [];
    clock.schedule(20, () => log.push(`b ${clock.monotonic()}`));
    clock.schedule(10, () => {
      log.push(`a ${clock.now()}`);
      clock.schedule(5, () => log.push(`nested ${clock.monotonic()}`));
    });
    const cancel = clock.schedule(15, () => log.push("cancelled"));
    cancel();
    expect(clock.pending).toBe(2);
    await clock.advance(20);
    expect(log).toEqual(["a 1010", "nested 15", "b 20"]);
    expect(clock.pending).toBe(0);
  });

  it("wakes sleepers, or lets their signal do it", async () => {
    const clock = createTestClock();
    const controller = new AbortController();
    const slept = clock.sleep(10).then(() => clock.monotonic());
    const cancelled = expect(clock.sleep(10, { signal: controller.signal })).rejects.toThrowError("enough");
    controller.abort(new Error("enough"));
    await cancelled;
    await clock.advance(30);
    expect(await slept).toBe(10);
    expect(clock.pending).toBe(0);
  });
});

describe("test randomness", () => {
  it("repeats for a seed", () => {
    const [a, b, c] = [createTestRandom(1), createTestRandom(1), createTestRandom(2)];
    const [first, same, other] = [a?.uuid(), b?.uuid(), c?.uuid()];
    expect(first).toBe(same);
    expect(first).not.toBe(other);
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
