import type { Description } from "@vdc-os/core";
import type { RequirementLevel } from "./suite.ts";
import type { Transport } from "./transport.ts";

/**
 * How a requirement went.
 *
 * - `fail`: the implementation does not meet it.
 * - `error`: it could not be tried: the factory, the transport or the release failed.
 * - `not-applicable`: it is for a facet that the implementation says it does not have.
 * - `skipped`: the factory withheld what it needs. A skip is never a pass.
 */
export type RequirementStatus = "pass" | "fail" | "error" | "not-applicable" | "skipped";

/** How one requirement went over one transport. */
export interface RequirementResult {
  readonly id: string;
  readonly transport: Transport;
  readonly level: RequirementLevel;
  readonly status: RequirementStatus;
  readonly durationMs: number;
  /** Why, for everything but a pass. */
  readonly message: string | undefined;
}

/** `failure`: something failed. `partial`: nothing failed, and something was skipped. `success`: all that applies was tried and passed. */
export type Verdict = "success" | "partial" | "failure";

/** The report of a suite's run. Plain data. */
export interface SuiteReport {
  /** The extension point and the version of its contract. */
  readonly point: string;
  readonly contractVersion: string;
  /** What the implementation says of itself; `undefined` when it could not be asked. */
  readonly description: Description | undefined;
  readonly results: readonly RequirementResult[];
  readonly verdict: Verdict;
}

/** The verdict on some results. */
export function verdictOf(results: readonly RequirementResult[]): Verdict {
  if (results.length === 0 || results.some(({ status }) => status === "fail" || status === "error")) return "failure";
  return results.some(({ status }) => status === "skipped") ? "partial" : "success";
}
