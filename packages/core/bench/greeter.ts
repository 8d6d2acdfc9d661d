import { z } from "zod";
import {
  type Contract,
  defineExtensionPoint,
  describeOperation,
  type ExtensionPoint,
  type OperationContext,
  unary,
  VdcError,
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

/** An implementation whose work is next to nothing, so that what is around it shows. It awaits nothing, which no real one does. */
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

/** A class of greeters. Each call makes another class, as the implementations of a point are. */
export function greeterClass(): new (greeting: string) => Greeter {
  return class extends PlainGreeter {};
}

/**
 * A class of greeters that do the least that a provider with state does: await that the state can be read, look up what they are
 * asked for, and answer with an object of their own.
 */
export function storedGreeterClass(): new (greeting: string) => Greeter {
  return class extends PlainGreeter {
    readonly #opened = Promise.resolve();
    readonly #greetings: Map<string, string>;

    constructor(greeting: string) {
      super(greeting);
      this.#greetings = new Map(["bench", "other", "third"].map((name) => [name, `${greeting}, ${name}`]));
    }

    override async greet({ name }: { readonly name: string }): Promise<{ readonly text: string }> {
      await this.#opened;
      const text = this.#greetings.get(name);
      if (text === undefined) throw new VdcError("NOT_FOUND", `nobody is called '${name}'`);
      return { text };
    }
  };
}
