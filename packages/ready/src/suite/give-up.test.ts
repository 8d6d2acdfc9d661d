import { createOperationContext, toVdcError, VdcError } from "@vdc-os/core";
import { expect, it } from "vitest";
import { giveUpAtEveryStep } from "./give-up.ts";

const test = { operation: createOperationContext };

it("gives a call up at each of its awaits, before it begins, and not at all", async () => {
  const reached: number[] = [];
  await giveUpAtEveryStep(test, {
    what: "a call",
    async call({ signal }) {
      let passed = 0;
      reached.push(passed);
      for (; passed < 4; passed += 1) {
        if (signal.aborted) throw toVdcError(signal.reason);
        await undefined;
        reached[reached.length - 1] = passed + 1;
      }
    },
    look: async () => undefined,
  });
  expect(reached.slice(0, 2)).toEqual([4, 0]);
  expect(new Set(reached)).toEqual(new Set([0, 1, 2, 3, 4]));
});

it("ends when a call is over before it is given up, and looks at what each one left", async () => {
  const seen: [number, boolean][] = [];
  await giveUpAtEveryStep(test, {
    what: "a call",
    call: async () => undefined,
    async look(step, isDone) {
      seen.push([step, isDone]);
    },
  });
  expect(seen.length).toBeLessThan(8);
  expect(seen.every(([step, isDone], index) => step === index && isDone)).toBe(true);
});

it("gives a long call up in the middle of its time", async () => {
  const after: number[] = [];
  await giveUpAtEveryStep(test, {
    what: "a call",
    async call({ signal }, step) {
      const startedAt = performance.now();
      const isOn = (): boolean => (step === 0 ? performance.now() < startedAt + 10 : !signal.aborted);
      while (isOn()) await new Promise((resolve) => setImmediate(resolve));
      if (!signal.aborted) return;
      after.push(performance.now() - startedAt);
      throw toVdcError(signal.reason);
    },
    look: async () => undefined,
  });
  expect(after.filter((ms) => ms >= 3).length).toBeGreaterThanOrEqual(3);
  expect(Math.max(...after)).toBeGreaterThanOrEqual(8);
});

it("takes no other failure for a cancellation, unless it is told to", async () => {
  const call = async (context: { readonly signal: AbortSignal }): Promise<void> => {
    if (context.signal.aborted) throw new VdcError("ABORTED", "busy");
  };
  const look = async (): Promise<void> => undefined;
  await expect(giveUpAtEveryStep(test, { what: "a call", call, look })).rejects.toThrow(
    /a call that was given up must fail with CANCELLED, and fails with ABORTED/,
  );
  await giveUpAtEveryStep(test, { what: "a call", codes: ["ABORTED"], call, look });
});

it("gives a costly call up at fewer moments, before it begins and late ones among them", async () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const steps = async (isCostly: boolean): Promise<number> => {
    let count = 0;
    await giveUpAtEveryStep(test, {
      what: "a call",
      isCostly,
      async call({ signal }, step) {
        count += 1;
        // The first one tells how long a call takes; the others wait to be given up.
        for (const end = performance.now() + 2; step === 0 && performance.now() < end; ) await turn();
        while (step > 0 && !signal.aborted) await turn();
        if (signal.aborted) throw toVdcError(signal.reason);
      },
      look: async () => undefined,
    });
    return count;
  };
  expect([await steps(true), await steps(false)]).toEqual([8, 18]);
});
