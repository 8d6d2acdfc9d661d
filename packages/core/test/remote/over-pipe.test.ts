import { createOperationContext } from "@vdc-os/core";
import { overPipe } from "@vdc-os/core/remote";
import { expect, it } from "vitest";
import { counter, makeCounter } from "./counter-point.ts";

it("puts the wire between a caller and an implementation", async () => {
  const received: unknown[] = [];
  const real = makeCounter({
    async echo(input) {
      received.push(input);
      return input;
    },
  });
  await using piped = await overPipe(counter, real);
  const sent = { text: "x" };
  expect(await piped.implementation.echo(sent, createOperationContext())).toEqual(sent);
  expect(received[0]).toEqual(sent);
  expect(received[0]).not.toBe(sent);
});
