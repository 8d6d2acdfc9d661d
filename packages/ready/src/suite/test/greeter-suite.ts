import {
  type DescribeInput,
  type Description,
  defineExtensionPoint,
  describeOperation,
  type ExtensionPoint,
  type OperationContext,
  unary,
} from "@vdc-os/core";
import { z } from "zod";
import { must, mustEqual } from "../must.ts";
import { defineSuite, type Instance, type Requirement, type Suite } from "../suite.ts";

/** A small contract to try the machinery with. */
export interface Greeter {
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  greet(input: { readonly name: string }, context: OperationContext): Promise<{ readonly text: string }>;
  readonly facets?: {
    readonly farewell?: {
      leave(input: { readonly name: string }, context: OperationContext): Promise<{ readonly text: string }>;
    };
  };
}

const input = z.object({ name: z.string() });
const output = z.object({ text: z.string() });

export const greeter: ExtensionPoint<Greeter> = defineExtensionPoint<Greeter>()({
  id: "test.greeter",
  version: "1.0",
  summary: "Greets.",
  operations: {
    describe: describeOperation,
    greet: unary({ summary: "Greets.", input, output, idempotent: true, errors: ["NOT_FOUND"] }),
  },
  facets: { farewell: { leave: unary({ summary: "Leaves.", input, output, idempotent: true, errors: [] }) } },
});

export function describeAs(facets: Description["facets"]): () => Promise<Description> {
  return async () => ({
    implementation: { name: "greeter", version: "1.0.0", simulated: true },
    facets,
    attributes: {},
  });
}

/** Meets everything, and has no facet. */
export const good: Greeter = { describe: describeAs({}), greet: async ({ name }) => ({ text: `hello ${name}` }) };

export const greets: Requirement<Greeter> = {
  id: "greeter.greet.name",
  title: "a greeting has the name",
  clause: "greet",
  level: "core",
  async run(test) {
    const { text } = await test.provider.greet({ name: "Ada" }, test.operation());
    must(text.includes("Ada"), `a greeting must have the name, and is '${text}'`);
  },
};

export const leaves: Requirement<Greeter> = {
  id: "greeter.farewell.name",
  title: "a farewell has the name",
  clause: "farewell",
  level: "extended",
  facet: "farewell",
  async run(test) {
    mustEqual(
      await test.facet("farewell").leave({ name: "Ada" }, test.operation()),
      { text: "bye Ada" },
      "the farewell",
    );
  },
};

export const suite: Suite<Greeter, Instance<Greeter>> = defineSuite<Greeter, Instance<Greeter>>({
  name: "greeter",
  point: greeter,
  requirements: [greets, leaves],
});

/** What `describe` says of a greeter with the facet. */
export const available: Description["facets"] = {
  farewell: { status: "available", limits: {}, evidence: "said so" },
};
