import { expect, test } from "vitest";
import { createOperationContext } from "../../src/context/create-operation-context.ts";
import { KernelProviders } from "../../src/remote/kernel-providers.ts";
import { createTestKernel } from "../../src/testing/create-test-kernel.ts";
import { type Counter, counter, makeCounter } from "./counter-point.ts";

test("a provider's facets are served through its kernel, as its other operations are", async () => {
  const kernel = await createTestKernel({ plugins: [] });
  const description = {
    implementation: { name: "test", version: "1", simulated: true },
    facets: { doubles: { status: "available", limits: {}, evidence: "it was tried" } },
    attributes: {},
  } as const;
  const doubles = { double: async ({ value }: { readonly value: number }) => ({ value: 2 * value }) };
  kernel.provide(counter, "c", makeCounter({ describe: async () => description, facets: { doubles } }));
  const served = new KernelProviders(kernel, [counter]).lookup(counter.id, "c")?.implementation as Counter;
  const context = createOperationContext();
  for (const value of [2, 3])
    expect(await served.facets?.doubles?.double({ value }, context)).toEqual({ value: 2 * value });
});
