import { z } from "zod";
import type { OperationContext } from "../../src/context/operation-context.ts";
import { describeOperation } from "../../src/extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../src/extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../src/extension-point/extension-point.ts";
import { stream, unary, watch } from "../../src/extension-point/operation.ts";

/** The contract that the tests of this folder use. */
export interface Counter {
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  echo(input: { readonly text: string }, context: OperationContext): Promise<{ readonly text: string }>;
  reset(input: { readonly how: string }, context: OperationContext): Promise<void>;
  count(input: { readonly to: number }, context: OperationContext): AsyncIterable<{ readonly at: number }>;
  follow(input: { readonly from: number }, context: OperationContext): AsyncIterable<{ readonly at: number }>;
  readonly facets?: {
    readonly doubles?: {
      double(input: { readonly value: number }, context: OperationContext): Promise<{ readonly value: number }>;
    };
  };
}

const at = z.object({ at: z.number() });

export const counter: ExtensionPoint<Counter> = defineExtensionPoint<Counter>()({
  id: "test.counter",
  version: "1.2",
  summary: "Counts.",
  operations: {
    describe: describeOperation,
    echo: unary({
      summary: "Says it again.",
      input: z.object({ text: z.string() }),
      output: z.object({ text: z.string() }),
      idempotent: true,
      errors: [],
    }),
    reset: unary({
      summary: "Does what is asked.",
      input: z.object({ how: z.string() }),
      output: z.void(),
      idempotent: true,
      errors: [],
    }),
    count: stream({
      summary: "Counts.",
      input: z.object({ to: z.number() }),
      output: at,
      idempotent: true,
      errors: [],
    }),
    follow: watch({
      summary: "Counts on.",
      input: z.object({ from: z.number() }),
      output: at,
      idempotent: true,
      errors: [],
    }),
  },
  facets: {
    doubles: {
      double: unary({
        summary: "Doubles.",
        input: z.object({ value: z.number() }),
        output: z.object({ value: z.number() }),
        idempotent: true,
        errors: [],
      }),
    },
  },
});

/** A counter whose every method can be replaced. */
export function makeCounter(overrides: Partial<Counter> = {}): Counter {
  return {
    async describe() {
      return { implementation: { name: "test", version: "1", simulated: true }, facets: {}, attributes: {} };
    },
    async echo(input) {
      return { text: input.text };
    },
    async reset() {},
    async *count(input) {
      for (let value = 1; value <= input.to; value++) yield { at: value };
    },
    async *follow(input) {
      for (let value = input.from; ; value++) yield { at: value };
    },
    facets: {
      doubles: {
        async double(input) {
          return { value: input.value * 2 };
        },
      },
    },
    ...overrides,
  };
}
