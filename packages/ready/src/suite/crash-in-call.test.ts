import { expect, it } from "vitest";
import { crashInCall } from "./crash-in-call.ts";

it("tells that a call was done when it was answered before the provider's end, and not when it is answered by one that went on", async () => {
  const ended = Promise.withResolvers<void>();
  const looks: boolean[] = [];
  let lateAnswers = 0;
  await crashInCall({
    provider: 0,
    reopen: async () => {
      if (looks.length === 1) ended.resolve();
      return 1;
    },
    async call(_, step) {
      if (step !== 1) return;
      await ended.promise;
      lateAnswers += 1;
    },
    look: async (_, __, isDone) => void looks.push(isDone),
  });
  expect([looks.slice(0, 2), lateAnswers]).toEqual([[true, false], 1]);
});
