import {
  type Contract,
  createOperationContext,
  type Description,
  type FacetName,
  type FacetOf,
  isVdcError,
  VdcError,
} from "@vdc-os/core";
import { guardProvider, OpenCalls } from "./guard-provider.ts";
import { must, RequirementFailure, RequirementNotApplicable, RequirementSkipped } from "./must.ts";
import type { RequirementResult } from "./report.ts";
import type { Instance, Requirement, Suite, SuiteTest } from "./suite.ts";
import { openTransport, type Transport } from "./transport.ts";

/** Options of {@link runRequirement}. */
export interface RunRequirementOptions<T extends Contract, I extends Instance<T>> {
  /** Makes a fresh instance. */
  readonly create: () => I | Promise<I>;
  /** Defaults to `direct`. */
  readonly transport?: Transport;
  /** How long the requirement may take, in milliseconds. Defaults to `30_000`. */
  readonly timeoutMs?: number | undefined;
  /** Told what the implementation says of itself. */
  readonly onDescription?: (description: Description) => void;
}

/** How long a call may go on after it was cancelled, in milliseconds. */
const settleMs = 2_000;

type Outcome = Pick<RequirementResult, "status" | "message">;

/** Tries one requirement on a fresh instance. Never rejects. */
export async function runRequirement<T extends Contract, I extends Instance<T>>(
  suite: Suite<T, I>,
  requirement: Requirement<T, I>,
  options: RunRequirementOptions<T, I>,
): Promise<RequirementResult> {
  const { transport = "direct", timeoutMs = 30_000 } = options;
  const startedAt = performance.now();
  const releases: (() => void | Promise<void>)[] = [];
  const timeout = new AbortController();
  const calls = new OpenCalls();
  // What goes wrong before the requirement runs, or while it is cleaned up, is no verdict on the implementation.
  const reached: { phase: "create" | "run" } = { phase: "create" };
  const overdue = Promise.withResolvers<never>();
  overdue.promise.catch(() => undefined);
  const timer = setTimeout(() => {
    const error = new RequirementFailure(`it did not finish in ${timeoutMs} ms`);
    overdue.reject(error);
    timeout.abort(new VdcError("DEADLINE_EXCEEDED", error.message));
  }, timeoutMs);

  const attempt = async (): Promise<Outcome> => {
    const instance = await options.create();
    releases.push(() => instance.dispose?.());
    const wrap = async (implementation: T): Promise<T> => {
      const opened = await openTransport(suite.point, implementation, transport);
      releases.push(opened.close);
      return guardProvider(suite.point, opened.provider, calls);
    };
    const provider = await wrap(instance.implementation);
    const operation: SuiteTest<T, I>["operation"] = (call) => createOperationContext(call, { signal: timeout.signal });
    reached.phase = "run";
    const description = await provider.describe({ scope: {} }, operation());
    options.onDescription?.(description);
    if (requirement.facet !== undefined) {
      const availability = description.facets[requirement.facet];
      if (availability?.status !== "available") {
        return {
          status: "not-applicable",
          message: availability?.reason ?? `describe does not list facet '${requirement.facet}'`,
        };
      }
    }
    await requirement.run({
      provider,
      instance,
      description,
      operation,
      wrap,
      facet: <Name extends FacetName<T>>(name: Name): FacetOf<T, Name> => {
        const facet = (provider.facets as Readonly<Record<string, unknown>> | undefined)?.[name];
        must(
          facet !== undefined,
          `describe says that facet '${name}' is available, and the implementation does not have it`,
        );
        return facet as FacetOf<T, Name>;
      },
      skip: (reason) => {
        throw new RequirementSkipped(reason);
      },
      notApplicable: (reason) => {
        throw new RequirementNotApplicable(reason);
      },
    });
    return { status: "pass", message: undefined };
  };

  let outcome: Outcome;
  try {
    outcome = await Promise.race([attempt(), overdue.promise]);
  } catch (error) {
    outcome = { status: statusOf(error, reached.phase), message: textOf(error) };
  }
  clearTimeout(timer);
  if (!timeout.signal.aborted) timeout.abort(new VdcError("CANCELLED", "the requirement is over"));
  // Every call's signal has aborted now. One that goes on all the same would go on at a caller's who gave up.
  const deaf = outcome.status === "pass" ? await calls.end(settleMs) : [];
  if (deaf.length > 0) {
    outcome = { status: "fail", message: `${deaf.join(", ")} goes on ${settleMs} ms after it was cancelled` };
  }
  for (const release of releases.reverse()) {
    try {
      await release();
    } catch (error) {
      // A failure says more than what follows from it.
      if (outcome.status === "pass") {
        outcome = { status: "error", message: `the instance could not be released: ${textOf(error)}` };
      }
    }
  }
  const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
  const { id, title, clause, level, facet } = requirement;
  return { id, title, clause, transport, level, facet, durationMs, ...outcome };
}

function statusOf(error: unknown, phase: "create" | "run"): RequirementResult["status"] {
  if (error instanceof RequirementSkipped) return "skipped";
  if (error instanceof RequirementNotApplicable) return "not-applicable";
  return phase === "run" ? "fail" : "error";
}

function textOf(error: unknown): string {
  if (isVdcError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
