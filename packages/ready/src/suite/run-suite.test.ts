import { VdcError } from "@vdc-os/core";
import { describe, expect, it } from "vitest";
import { provesSuite } from "./proves-suite.ts";
import { runSuite } from "./run-suite.ts";
import { defineSuite, type Instance, type Requirement } from "./suite.ts";
import { available, describeAs, good, type Greeter, greeter, greets, suite } from "./test/greeter-suite.ts";

async function statuses(implementation: Greeter, transports?: readonly ("direct" | "pipe")[]): Promise<unknown> {
  const { results, verdict } = await runSuite(suite, { create: () => ({ implementation }), transports });
  return { verdict, results: results.map(({ transport, id, status }) => `${transport} ${id.split(".")[1]} ${status}`) };
}

describe("runSuite", () => {
  it("tries each requirement over each transport, and a facet only where it is available", async () => {
    expect(await statuses(good)).toEqual({
      verdict: "success",
      results: [
        "direct greet pass",
        "direct farewell not-applicable",
        "pipe greet pass",
        "pipe farewell not-applicable",
      ],
    });
    const leave = async ({ name }: { readonly name: string }): Promise<{ readonly text: string }> => ({
      text: `bye ${name}`,
    });
    expect(await statuses({ ...good, describe: describeAs(available), facets: { farewell: { leave } } })).toEqual({
      verdict: "success",
      results: ["direct greet pass", "direct farewell pass", "pipe greet pass", "pipe farewell pass"],
    });
  });

  it("fails what claims a facet that it does not have", async () => {
    expect(await statuses({ ...good, describe: describeAs(available) }, ["direct"])).toEqual({
      verdict: "failure",
      results: ["direct greet pass", "direct farewell fail"],
    });
  });

  it.each([
    ["a result that its schema refuses", async () => ({ text: 7 }) as unknown as { text: string }, "schema"],
    ["an error that is no VdcError", () => Promise.reject(new Error("oh")), "no VdcError"],
    ["a code that the contract does not allow", () => Promise.reject(new VdcError("DATA_LOSS", "oh")), "DATA_LOSS"],
    ["silence", () => new Promise<never>(() => {}), "did not finish"],
  ])("fails %s", async (_what, greet, message) => {
    const create = (): Instance<Greeter> => ({ implementation: { ...good, greet } });
    const { results } = await runSuite(suite, {
      create,
      transports: ["direct"],
      only: "greeter.greet",
      timeoutMs: 200,
    });
    expect(results).toMatchObject([{ status: "fail", message: expect.stringContaining(message) }]);
  });

  it("fails a call that goes on after it was cancelled, and knows one that heeds its signal", async () => {
    const waits = (heeds: boolean): Greeter => ({
      ...good,
      greet: ({ name }, { signal }) =>
        new Promise((resolve, reject) => {
          if (name === "Ada") resolve({ text: "hello Ada" });
          else if (heeds) signal.addEventListener("abort", () => reject(signal.reason));
        }),
    });
    const forgets = defineSuite<Greeter, Instance<Greeter>>({
      name: "greeter",
      point: greeter,
      requirements: [
        {
          ...greets,
          async run(test) {
            void test.provider.greet({ name: "Bob" }, test.operation()).catch(() => undefined);
            await greets.run(test);
          },
        },
      ],
    });
    const run = async (heeds: boolean): Promise<unknown> =>
      (await runSuite(forgets, { create: () => ({ implementation: waits(heeds) }), transports: ["direct"] })).results;
    expect(await run(true)).toMatchObject([{ status: "pass" }]);
    const message = "test.greeter 'greet' goes on 2000 ms after it was cancelled";
    expect(await run(false)).toMatchObject([{ status: "fail", message }]);
  });

  it("tells an error of the factory from a failure, and a skip from a pass", async () => {
    const broken = await runSuite(suite, {
      transports: ["direct"],
      create: () => {
        throw new Error("no array to test on");
      },
    });
    expect(broken).toMatchObject({
      verdict: "failure",
      results: [{ status: "error", message: "no array to test on" }, {}],
    });

    const undisposable = await runSuite(suite, {
      transports: ["direct"],
      only: "greeter.greet",
      create: () => ({ implementation: good, dispose: () => Promise.reject(new Error("stuck")) }),
    });
    expect(undisposable.results).toMatchObject([{ status: "error", message: expect.stringContaining("stuck") }]);

    const skipping = defineSuite<Greeter, Instance<Greeter>>({
      name: "greeter",
      point: greeter,
      requirements: [
        greets,
        { ...greets, id: "greeter.greet.later", run: async (test) => test.skip("nothing to try it on") },
      ],
    });
    expect(await runSuite(skipping, { create: () => ({ implementation: good }) })).toMatchObject({
      verdict: "partial",
    });
  });

  it("releases each instance once, also after a failure", async () => {
    const released: number[] = [];
    let made = 0;
    await runSuite(suite, {
      create: () => {
        made += 1;
        const own = made;
        const implementation = own === 1 ? { ...good, greet: async () => ({ text: "who?" }) } : good;
        return { implementation, dispose: () => void released.push(own) };
      },
    });
    expect(released).toEqual([1, 2, 3, 4]);
  });
});

describe("provesSuite", () => {
  it("finds requirements that catch nothing, and mutants of nothing", async () => {
    const blind = defineSuite<Greeter, Instance<Greeter>>({
      name: "greeter",
      point: greeter,
      requirements: [greets, { ...greets, id: "greeter.greet.blind", run: async () => {} }],
    });
    const rude = async (instance: Instance<Greeter>): Promise<Instance<Greeter>> => ({
      ...instance,
      implementation: { ...good, greet: async () => ({ text: "you" }) },
    });
    const { holes } = await provesSuite(blind, {
      create: () => ({ implementation: good }),
      mutants: [
        { breaks: "greeter.greet.name", how: "is rude", mutate: rude },
        { breaks: "greeter.greet.blind", how: "is rude", mutate: rude },
        { breaks: "greeter.greet.gone", how: "is rude", mutate: rude },
      ],
    });
    expect(holes).toEqual([
      "'greeter.greet.blind' does not catch 'is rude': pass, it passed",
      "a mutant breaks 'greeter.greet.gone', which is no requirement",
    ]);
  });
});

describe("defineSuite", () => {
  it("refuses ids that are taken, malformed or another suite's", () => {
    const define = (...requirements: readonly Requirement<Greeter>[]): unknown =>
      defineSuite<Greeter, Instance<Greeter>>({ name: "greeter", point: greeter, requirements });
    expect(() => define(greets, greets)).toThrow("twice");
    expect(() => define({ ...greets, id: "other.greet" })).toThrow("begin with 'greeter.'");
    expect(() => define({ ...greets, id: "greeter" })).toThrow(TypeError);
  });
});
