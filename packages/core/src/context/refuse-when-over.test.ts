import { expect, it } from "vitest";
import { createOperationContext } from "./create-operation-context.ts";
import { refuseWhenOver } from "./refuse-when-over.ts";

it("refuses a call that is over before it begins, and says why", () => {
  const late = createOperationContext({ timeoutMs: 0 });
  const givenUp = createOperationContext({ signal: AbortSignal.abort() });
  expect(() => refuseWhenOver(late)).toThrow(expect.objectContaining({ code: "DEADLINE_EXCEEDED" }));
  expect(() => refuseWhenOver(givenUp)).toThrow(expect.objectContaining({ code: "CANCELLED" }));
});

it("lets a call pass that somebody waits for", () => {
  refuseWhenOver(createOperationContext());
  refuseWhenOver(createOperationContext({ timeoutMs: 60_000 }));
});
