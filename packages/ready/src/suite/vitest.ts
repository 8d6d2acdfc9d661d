import type { Contract, Plugin } from "@vdc-os/core";
import { describe, expect, it } from "vitest";
import { createInstance, type InstanceFactory } from "../certify/certification-kit.ts";
import { generalRequirements } from "../certify/general-requirements.ts";
import { mutationTable, type ProvesSuiteOptions, provesSuite } from "./proves-suite.ts";
import { runRequirement } from "./run-requirement.ts";
import { defaultTransports, type RunSuiteOptions } from "./run-suite.ts";
import type { Instance, Suite } from "./suite.ts";

/** Options of {@link describeSuite}. */
export type DescribeSuiteOptions<T extends Contract, I extends Instance<T>> = Omit<RunSuiteOptions<T, I>, "onResult">;

/**
 * Registers a suite with vitest: one test for each requirement and transport. What is not applicable or skipped shows as skipped, with
 * the reason.
 */
export function describeSuite<T extends Contract, I extends Instance<T>>(
  suite: Suite<T, I>,
  options: DescribeSuiteOptions<T, I>,
): void {
  const { transports = defaultTransports, only = "", timeoutMs = 30_000 } = options;
  for (const transport of transports) {
    describe(`${suite.point.id} ${suite.point.version}, ${transport === "direct" ? "direct" : "over the pipe"}`, () => {
      for (const requirement of suite.requirements) {
        if (!requirement.id.startsWith(only)) continue;
        // The requirement's own time limit gives the better message, so the runner's is a little longer.
        it(`${requirement.id}: ${requirement.title}`, { timeout: timeoutMs + 5_000 }, async (test) => {
          const result = await runRequirement(suite, requirement, { create: options.create, transport, timeoutMs });
          if (result.status === "not-applicable" || result.status === "skipped") {
            test.skip(`${result.status}: ${result.message}`);
          }
          if (result.status !== "pass") {
            throw new Error(`${result.status}: ${result.message}\nthe contract says: ${requirement.clause}`);
          }
        });
      }
    });
  }
}

/** Options of {@link describePlugin}. */
export interface DescribePluginOptions<T extends Contract, I extends Instance<T>>
  extends Omit<DescribeSuiteOptions<T, I>, "create"> {
  readonly plugin: Plugin;
  /** The URL of the module that exports it, for a factory that runs it in a process. Defaults to none. */
  readonly module?: string | undefined;
  /** The factory that the package names in `vdcReady`, so that its tests and its certification try the same. */
  readonly create: InstanceFactory<I>;
}

/**
 * Registers a suite with vitest as the command `vdc-ready` runs it: with what every implementation must do besides, and a factory that is
 * given the plugin and the means to start it.
 */
export function describePlugin<T extends Contract, I extends Instance<T>>(
  suite: Suite<T, I>,
  { plugin, module, create, ...options }: DescribePluginOptions<T, I>,
): void {
  const requirements = [...suite.requirements, ...generalRequirements<T, I>(suite.name)];
  describeSuite({ ...suite, requirements }, { ...options, create: createInstance({ plugin, module }, create) });
}

/** Registers the proof of a suite with vitest, and prints the mutation table. */
export function describeProof<T extends Contract, I extends Instance<T>>(
  suite: Suite<T, I>,
  options: ProvesSuiteOptions<T, I>,
): void {
  it(`the suite of ${suite.point.id} catches a mutant for each of its ${suite.requirements.length} requirements`, async ({
    task,
  }) => {
    const proof = await provesSuite(suite, options);
    console.log(mutationTable(proof));
    const { length: mutants } = proof.mutants;
    const caught = proof.mutants.filter((mutant) => mutant.caught).length;
    // For the table of all suites that a whole run of the tests ends with.
    Object.assign(task.meta, {
      proof: { suite: suite.name, requirements: suite.requirements.length, mutants, caught },
    });
    expect(proof.holes).toEqual([]);
  });
}
