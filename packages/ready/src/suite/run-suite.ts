import type { Contract, Description } from "@vdc-os/core";
import { type RequirementResult, type SuiteReport, verdictOf } from "./report.ts";
import { runRequirement } from "./run-requirement.ts";
import type { Instance, Suite } from "./suite.ts";
import type { Transport } from "./transport.ts";

/** Options of {@link runSuite}. */
export interface RunSuiteOptions<T extends Contract, I extends Instance<T>> {
  /** Makes a fresh instance for each requirement. */
  readonly create: () => I | Promise<I>;
  /** Over which transports the suite runs. Defaults to both. Certification needs both. */
  readonly transports?: readonly Transport[] | undefined;
  /** Only requirements whose id begins with this. Defaults to all. */
  readonly only?: string | undefined;
  /** How long each requirement may take, in milliseconds. Defaults to `30_000`. */
  readonly timeoutMs?: number | undefined;
  /** Told of each result as it comes. */
  readonly onResult?: ((result: RequirementResult) => void) | undefined;
}

/** Over which transports a suite runs by default. */
export const defaultTransports: readonly Transport[] = ["direct", "pipe"];

/**
 * Runs a suite, one requirement after the other, and reports. Needs no test runner. Never rejects for what the implementation does.
 *
 * @example
 * ```ts
 * const report = await runSuite(stateSuite, { create: async () => ({ implementation: await openMyStore() }) });
 * console.log(report.verdict);
 * ```
 */
export async function runSuite<T extends Contract, I extends Instance<T>>(
  suite: Suite<T, I>,
  options: RunSuiteOptions<T, I>,
): Promise<SuiteReport> {
  const { transports = defaultTransports, only = "" } = options;
  const results: RequirementResult[] = [];
  let description: Description | undefined;
  for (const transport of transports) {
    for (const requirement of suite.requirements) {
      if (!requirement.id.startsWith(only)) continue;
      const result = await runRequirement(suite, requirement, {
        create: options.create,
        transport,
        timeoutMs: options.timeoutMs,
        onDescription: (found) => {
          description = found;
        },
      });
      results.push(result);
      options.onResult?.(result);
    }
  }
  const { id, version } = suite.point;
  return { point: id, contractVersion: version, description, results, verdict: verdictOf(results) };
}
