import { describe, expect, it } from "vitest";
import { createTestClock } from "../testing/test-clock.ts";
import { createOperationContext, isCancellable, isOperationContext } from "./create-operation-context.ts";
import type { Progress } from "./operation-context.ts";

describe("createOperationContext", () => {
  it("has defaults, and makes neither signal nor timer before somebody looks", () => {
    const clock = createTestClock();
    const context = createOperationContext({ timeoutMs: 100 }, { clock });
    expect(context).toMatchObject({ tenant: "default", deadline: 100, idempotencyKey: undefined, trace: undefined });
    expect(clock.pending).toBe(0);
    expect(context.signal.aborted).toBe(false);
    expect(clock.pending).toBe(1);
    expect(createOperationContext().signal).toBe(createOperationContext().signal);
    expect(isCancellable(createOperationContext())).toBe(false);
    expect(isCancellable(context)).toBe(true);
  });

  it("aborts by deadline, caller, environment, server and parent", async () => {
    const clock = createTestClock();
    const late = createOperationContext({ timeoutMs: 100 }, { clock });
    const { signal } = late;
    await clock.advance(100);
    expect(signal.reason).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    for (const source of ["caller", "environment", "server", "parent"]) {
      const controller = new AbortController();
      const own = { signal: controller.signal };
      const context = createOperationContext(source === "caller" ? own : {}, {
        clock,
        ...(source === "environment" ? own : {}),
        ...(source === "server" ? { server: own } : {}),
        ...(source === "parent" ? { parent: createOperationContext(own) } : {}),
      });
      const seen = context.signal;
      controller.abort(new Error(source));
      expect(seen.reason).toMatchObject({ message: source });
      // The server's end is for the provider to heed: the caller does not wait for it.
      expect(isCancellable(context)).toBe(source !== "server");
    }
  });

  it("takes the earlier deadline, and the parent's tenant", () => {
    const clock = createTestClock();
    const parent = createOperationContext({ timeoutMs: 100, tenant: "acme" }, { clock });
    expect(createOperationContext({ timeoutMs: 500 }, { parent })).toMatchObject({ deadline: 100, tenant: "acme" });
    expect(createOperationContext({ timeoutMs: 50, tenant: "b" }, { parent })).toMatchObject({
      deadline: 50,
      tenant: "b",
    });
    expect(createOperationContext({ timeoutMs: 0 }, { clock }).signal.aborted).toBe(true);
  });

  it("reports progress, and never throws for it", () => {
    const seen: Progress[] = [];
    createOperationContext({ onProgress: (update) => seen.push(update) }).progress({ fraction: 0.5 });
    const broken = createOperationContext({
      onProgress: () => {
        throw new Error("broken");
      },
    });
    broken.progress({ message: "x" });
    expect(seen).toEqual([{ fraction: 0.5 }]);
  });

  it("is told from options", () => {
    const context = createOperationContext();
    expect(isOperationContext(context)).toBe(true);
    expect(isOperationContext({ timeoutMs: 1 })).toBe(false);
  });
});
