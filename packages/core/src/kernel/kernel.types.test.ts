import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import { defineHook } from "../event/hook-token.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Handle, Providers } from "../extension-point/handle.ts";
import { definePlugin } from "../plugin/define-plugin.ts";
import { all, one, provides } from "../plugin/requirement.ts";
import type { Kernel } from "./kernel.ts";
import { type Greeter, greeter, makeGreeter } from "./test/greeter-point.ts";

interface Narrow extends Greeter {
  extra(input: { readonly a: number }, context: OperationContext): Promise<number>;
}

declare const kernel: Kernel;
declare const narrow: ExtensionPoint<Narrow>;

describe("types flow from the token", () => {
  it("gives handles the operations of the contract, without the context", () => {
    const check = () => {
      const handle = kernel.get(greeter);
      expectTypeOf(handle).toEqualTypeOf<Handle<Greeter>>();
      expectTypeOf(handle.greet).parameters.toEqualTypeOf<
        [input: { readonly name: string }, options?: CallOptions | OperationContext | undefined]
      >();
      expectTypeOf(handle.count({ to: 1 })).toEqualTypeOf<AsyncIterable<number>>();
      // @ts-expect-error: the contract has no such operation
      handle.nothing();
      // @ts-expect-error: the input is another
      handle.greet({ nme: "x" });
    };
    expectTypeOf(check).toBeFunction();
  });

  it("keeps tokens invariant", () => {
    expectTypeOf<ExtensionPoint<Narrow>>().not.toExtend<ExtensionPoint<Greeter>>();
    expectTypeOf<ExtensionPoint<Greeter>>().not.toExtend<ExtensionPoint<Narrow>>();
  });

  it("narrows a facet on whether it is available", () => {
    const check = async () => {
      const facet = await kernel.get(greeter).facet("shouting");
      // @ts-expect-error: it may be absent
      facet.operations;
      if (facet.available)
        expectTypeOf(facet.operations.shout).returns.toEqualTypeOf<Promise<{ readonly text: string }>>();
      else expectTypeOf(facet.reason).toBeString();
      // @ts-expect-error: the contract has no such facet
      await kernel.get(greeter).facet("whispering");
    };
    expectTypeOf(check).toBeFunction();
  });

  it("shows setup what is declared, and only that", () => {
    definePlugin({
      name: "typed",
      version: "1.0.0",
      core: "0.1",
      summary: "Typed.",
      provides: [provides(greeter)],
      requires: { single: one(greeter), every: all(greeter) },
      uses: { perhaps: one(greeter) },
      config: z.object({ size: z.number().default(1) }),
      setup(context, config) {
        expectTypeOf(config).toEqualTypeOf<{ size: number }>();
        expectTypeOf(context.requires.single).toEqualTypeOf<Handle<Greeter>>();
        expectTypeOf(context.requires.every).toEqualTypeOf<Providers<Greeter>>();
        expectTypeOf(context.uses.perhaps).toEqualTypeOf<Handle<Greeter> | undefined>();
        // @ts-expect-error: not declared
        context.requires.other;
        // @ts-expect-error: the implementation lacks an operation
        context.provide(narrow, makeGreeter("x"));
      },
    });
  });

  it("gives each kind of hook its result", () => {
    const collect = defineHook<string, number>()({ id: "a.b", kind: "collect", summary: "A test's." });
    const notify = defineHook<string>()({ id: "a.c", kind: "notify", summary: "A test's." });
    const check = () => {
      expectTypeOf(kernel.hooks.run(collect, "x")).toEqualTypeOf<readonly number[] | Promise<readonly number[]>>();
      expectTypeOf(kernel.hooks.run(notify, "x")).toEqualTypeOf<void | Promise<void>>();
      // @ts-expect-error: the input is a string
      kernel.hooks.run(collect, 1);
    };
    expectTypeOf(check).toBeFunction();
  });
});
