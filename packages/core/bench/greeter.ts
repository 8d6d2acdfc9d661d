import { z } from "zod";
import {
  type Contract,
  defineExtensionPoint,
  describeOperation,
  type ExtensionPoint,
  type OperationContext,
  unary,
} from "../src/index.ts";

/** The contract that is measured: the smallest one that does something. */
export interface Greeter extends Contract {
  greet(input: { readonly name: string }, context: OperationContext): Promise<{ readonly text: string }>;
}

/** Defines a point with this contract. The benchmarks use several, since a process that has one alone is not what people run. */
export function defineGreeter(id: string): ExtensionPoint<Greeter> {
  return defineExtensionPoint<Greeter>()({
    id,
    version: "1.0",
    summary: "Greets people.",
    operations: {
      describe: describeOperation,
      greet: unary({
        summary: "Greets somebody.",
        input: z.object({ name: z.string() }),
        output: z.object({ text: z.string() }),
        idempotent: true,
        errors: [],
      }),
    },
    facets: {},
  });
}

/** An implementation whose work is next to nothing, so that what is around it shows. */
export class PlainGreeter implements Greeter {
  readonly #greeting: string;

  constructor(greeting: string) {
    this.#greeting = greeting;
  }

  async describe(): ReturnType<Greeter["describe"]> {
    return { implementation: { name: "plain", version: "1.0.0", simulated: true }, facets: {}, attributes: {} };
  }

  async greet(input: { readonly name: string }): Promise<{ readonly text: string }> {
    return { text: `${this.#greeting}, ${input.name}` };
  }
}
