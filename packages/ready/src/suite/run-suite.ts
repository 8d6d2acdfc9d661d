import { type Contract, type Description, VdcError } from "@vdc-os/core";
import { type RequirementResult, profilesOf, type SuiteReport, verdictOf } from "./report.ts";
import { runRequirement } from "./run-requirement.ts";
import type { Instance, RequirementLevel, Suite } from "./suite.ts";
import type { Transport } from "./transport.ts";
import { applyWaiver, reportWaivers, type Waiver } from "./waiver.ts";

/** Options of {@link runSuite}. */
export interface RunSuiteOptions<T extends Contract, I extends Instance<T>> {
  /** Makes a fresh instance for each requirement. */
  readonly create: () => I | Promise<I>;
  /** Over which transports the suite runs. Defaults to both. Certification needs both. */
  readonly transports?: readonly Transport[] | undefined;
  /** Only requirements whose id begins with this. Defaults to all. */
  readonly only?: string | undefined;
  /** Only the requirements of one level: `core` is what every implementation must do. Defaults to both. */
  readonly level?: RequirementLevel | undefined;
  /** Requirements that the implementation is known not to meet. Those of other suites are left aside. Defaults to none. */
  readonly waivers?: readonly Waiver[] | undefined;
  /** The time by which waivers expire. Defaults to that of the machine. */
  readonly now?: Date | undefined;
  /** How long each requirement may take, in milliseconds. Defaults to `30_000`. */
  readonly timeoutMs?: number | undefined;
  /** Told of each result as it comes. */
  readonly onResult?: ((result: RequirementResult) => void) | undefined;
}

/** Over which transports a suite runs by default. */
export const defaultTransports: readonly Transport[] = ["direct", "pipe"];

/**
 * Runs a suite, one requirement after the other, and reports. Needs no test runner. Never rejects for what the implementation does. Rejects with
 * `INVALID_ARGUMENT` for a waiver of a requirement that the suite does not have.
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
  const { transports = defaultTransports, only = "", level, now = new Date() } = options;
  const waivers = ownWaivers(suite, options.waivers ?? []);
  const results: RequirementResult[] = [];
  let description: Description | undefined;
  for (const transport of transports) {
    for (const requirement of suite.requirements) {
      if (!requirement.id.startsWith(only) || (level !== undefined && requirement.level !== level)) continue;
      const tried = await runRequirement(suite, requirement, {
        create: options.create,
        transport,
        timeoutMs: options.timeoutMs,
        onDescription: (found) => {
          description = found;
        },
      });
      const result = applyWaiver(tried, { waivers, now });
      results.push(result);
      options.onResult?.(result);
    }
  }
  const { id, version } = suite.point;
  return {
    point: id,
    contractVersion: version,
    description,
    results,
    profiles: profilesOf(results),
    waivers: reportWaivers(waivers, results),
    verdict: verdictOf(results),
  };
}

/** The waivers of a suite's requirements. A waiver of nothing is a mistake in its file. */
function ownWaivers<T extends Contract, I extends Instance<T>>(
  { name, requirements }: Suite<T, I>,
  waivers: readonly Waiver[],
): readonly Waiver[] {
  const own = waivers.filter(({ requirement }) => requirement.startsWith(`${name}.`));
  const unknown = own.filter(({ requirement }) => !requirements.some(({ id }) => id === requirement));
  if (unknown.length === 0) return own;
  const names = unknown.map(({ requirement }) => `'${requirement}'`).join(", ");
  throw new VdcError("INVALID_ARGUMENT", `a waiver is for ${names}, and suite '${name}' has no such requirement`);
}
