import { expect, it } from "vitest";
import { definePlugin, type Plugin } from "../plugin/define-plugin.ts";
import { Kernel } from "./kernel.ts";
import { use } from "./plugin-registration.ts";
import type { StartError } from "./start-report.ts";

/** More than are launched in one turn. */
const count = 1_000;

function many(setup: (index: number) => void | Promise<void>, after: (index: number) => readonly string[]): Plugin[] {
  return Array.from({ length: count }, (_, index) =>
    definePlugin({
      name: `p-${index}`,
      version: "1.0.0",
      core: "0.1",
      summary: "One of many.",
      after: after(index),
      setup: () => setup(index),
    }),
  );
}

it("starts many plugins in order, whether their setups end at once or later, and whether they depend on each other", async () => {
  const setups: ((index: number) => void | Promise<void>)[] = [() => undefined, async () => undefined];
  const orders: ((index: number) => readonly string[])[] = [
    () => [],
    (index) => (index === 0 ? [] : [`p-${index - 1}`]),
  ];
  for (const setup of setups) {
    for (const after of orders) {
      const seen: number[] = [];
      const plugins = many((index) => {
        seen.push(index);
        return setup(index);
      }, after);
      await using kernel = new Kernel({ plugins: plugins.map((plugin) => use(plugin)) });
      const report = await kernel.start();
      expect(report.plugins.every(({ state }) => state === "ready")).toBe(true);
      expect(seen).toEqual(Array.from({ length: count }, (_, index) => index));
    }
  }
});

it("begins nothing more once it is given up between two batches", async () => {
  const controller = new AbortController();
  const begun: number[] = [];
  const plugins = many(
    async (index) => {
      begun.push(index);
      await undefined;
      controller.abort();
    },
    () => [],
  );
  const kernel = new Kernel({ plugins: plugins.map((plugin) => use(plugin)) });
  const error: StartError = await kernel.start({ signal: controller.signal }).then(
    () => expect.unreachable(),
    (reason: StartError) => reason,
  );
  expect(error.cause).toMatchObject({ code: "CANCELLED" });
  expect(begun.length).toBeLessThan(count);
  const states = kernel.statuses().map(({ state }) => state);
  expect(states.slice(begun.length)).toEqual(Array.from({ length: count - begun.length }, () => "registered"));
});
