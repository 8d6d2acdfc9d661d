import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import type { Contract } from "../../extension-point/contract.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { FacetAvailability } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { stream, unary, watch } from "../../extension-point/operation.ts";
import { definePlugin, type Plugin } from "../../plugin/define-plugin.ts";
import type { PluginContext } from "../../plugin/plugin-context.ts";
import { fromConfig, provides } from "../../plugin/requirement.ts";

/** A contract for the kernel's own tests. */
export interface Greeter extends Contract {
  greet(input: { readonly name: string }, context: OperationContext): Promise<{ readonly text: string }>;
  count(input: { readonly to: number }, context: OperationContext): AsyncIterable<number>;
  follow(input: { readonly from: number }, context: OperationContext): AsyncIterable<number>;
  readonly facets?: {
    readonly shouting?: {
      shout(input: { readonly name: string }, context: OperationContext): Promise<{ readonly text: string }>;
    };
  };
}

const name = z.object({ name: z.string() });
const text = z.object({ text: z.string() });

/** Defines the point in a version. */
export function defineGreeter(version = "1.0", id = "test.greeter"): ExtensionPoint<Greeter> {
  return defineExtensionPoint<Greeter>()({
    id,
    version,
    summary: "Greets people.",
    operations: {
      describe: describeOperation,
      greet: unary({ summary: "Greets.", input: name, output: text, idempotent: true, errors: [] }),
      count: stream({
        summary: "Counts.",
        input: z.object({ to: z.number() }),
        output: z.number(),
        idempotent: true,
        errors: [],
      }),
      follow: watch({
        summary: "Goes on.",
        input: z.object({ from: z.number() }),
        output: z.number(),
        idempotent: true,
        errors: [],
      }),
    },
    facets: {
      shouting: { shout: unary({ summary: "Shouts.", input: name, output: text, idempotent: true, errors: [] }) },
    },
  });
}

export const greeter: ExtensionPoint<Greeter> = defineGreeter();

/** An implementation, with whatever a test wants to be different. */
export function makeGreeter(greeting: string, different: Partial<Greeter> = {}): Greeter {
  const available: FacetAvailability = { status: "available", limits: { decibel: 90 }, evidence: "measured" };
  return {
    async describe() {
      const implementation = { name: "test", version: "1.0.0", simulated: true };
      return { implementation, facets: { shouting: available }, attributes: {} };
    },
    async greet(input) {
      return { text: `${greeting}, ${input.name}` };
    },
    async *count({ to }) {
      for (let value = 1; value <= to; value++) yield value;
    },
    async *follow({ from }, context) {
      yield from;
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve, { once: true }));
    },
    facets: { shouting: { shout: async (input) => ({ text: `${greeting.toUpperCase()}, ${input.name}!` }) } },
    ...different,
  };
}

/** A plugin that provides a greeter under the name in its config. */
export const greeterPlugin: Plugin = definePlugin({
  name: "greeter-plugin",
  version: "1.0.0",
  core: "0.1",
  summary: "Provides a greeter.",
  provides: [provides(greeter, { name: fromConfig("name") })],
  config: z.object({ name: z.string().default("main"), greeting: z.string().default("hello") }),
  setup(context, config) {
    context.provide(greeter, makeGreeter(config.greeting), { name: config.name });
  },
});

/** A plugin without a contract, whose life is what is tested. */
export function plainPlugin(
  name: string,
  setup: (context: PluginContext) => void | Promise<void> = () => undefined,
  more: { readonly before?: readonly string[]; readonly after?: readonly string[] } = {},
): Plugin {
  return definePlugin({ name, version: "1.0.0", core: "0.1", summary: "A test's.", ...more, setup });
}
