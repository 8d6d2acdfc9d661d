import { describe, expect, it } from "vitest";
import { type Condition, failedCondition, isConditionTrue, mergeConditions, readyCondition } from "./condition.ts";

const failed: Condition = {
  type: failedCondition,
  status: "True",
  reason: "VDC_UNAVAILABLE",
  message: "the host was away",
  observedGeneration: 3,
  lastTransitionAt: 10,
};

describe("mergeConditions", () => {
  it("takes a failure back when the object is ready after all", () => {
    const merged = mergeConditions([failed], [{ type: readyCondition, status: "True", reason: "Running" }], {
      observedGeneration: 3,
      now: 20,
    });
    expect(isConditionTrue(merged, readyCondition, 3)).toBe(true);
    expect(isConditionTrue(merged, failedCondition, 3)).toBe(false);
  });

  it("keeps a failure while the object is not ready", () => {
    const merged = mergeConditions([failed], [{ type: readyCondition, status: "False", reason: "Waits" }], {
      observedGeneration: 3,
      now: 20,
    });
    expect(isConditionTrue(merged, failedCondition, 3)).toBe(true);
  });

  it("does not let news about an older generation take back a later failure", () => {
    const merged = mergeConditions([failed], [{ type: readyCondition, status: "True", reason: "Running" }], {
      observedGeneration: 2,
      now: 20,
    });
    expect(isConditionTrue(merged, failedCondition, 3)).toBe(true);
  });
});
