import type { Description } from "@vdc-os/core";
import type { RequirementLevel } from "./suite.ts";
import type { Transport } from "./transport.ts";
import type { WaiverReport } from "./waiver.ts";

/**
 * How a requirement went.
 *
 * - `fail`: the implementation does not meet it.
 * - `error`: it could not be tried: the factory, the transport or the release failed.
 * - `not-applicable`: it is for a facet that the implementation says it does not have.
 * - `skipped`: the factory withheld what it needs. A skip is never a pass.
 * - `waived`: the implementation does not meet it, which is known, has a reason, and has an end.
 */
export type RequirementStatus = "pass" | "fail" | "error" | "not-applicable" | "skipped" | "waived";

/** Every status, the worst first. */
export const requirementStatuses: readonly RequirementStatus[] = [
  "fail",
  "error",
  "waived",
  "skipped",
  "pass",
  "not-applicable",
];

/** How one requirement went over one transport. */
export interface RequirementResult {
  readonly id: string;
  /** What it asks, and where the contract says so. */
  readonly title: string;
  readonly clause: string;
  readonly transport: Transport;
  readonly level: RequirementLevel;
  /** The facet that it is for; `undefined` for what every implementation must do. */
  readonly facet: string | undefined;
  readonly status: RequirementStatus;
  readonly durationMs: number;
  /** Why, for everything but a pass. */
  readonly message: string | undefined;
}

/**
 * `failure`: something failed. `partial`: nothing failed, and something was skipped or waived. `success`: all that applies was tried and
 * passed.
 */
export type Verdict = "success" | "partial" | "failure";

/** How many requirements went how, each transport counted by itself. */
export type StatusCounts = Readonly<Record<RequirementStatus, number>>;

/** One profile of a suite: the requirements of one level, of a facet or of what every implementation must do. */
export interface ProfileReport {
  readonly facet: string | undefined;
  readonly level: RequirementLevel;
  /** `not-applicable` when the implementation does not have the facet. */
  readonly result: Verdict | "not-applicable";
  readonly counts: StatusCounts;
}

/** The report of a suite's run. Plain data. */
export interface SuiteReport {
  /** The extension point and the version of its contract. */
  readonly point: string;
  readonly contractVersion: string;
  /** What the implementation says of itself; `undefined` when it could not be asked. */
  readonly description: Description | undefined;
  readonly results: readonly RequirementResult[];
  /** In the order of the requirements. */
  readonly profiles: readonly ProfileReport[];
  /** The waivers that are for this suite, and what became of them. */
  readonly waivers: readonly WaiverReport[];
  readonly verdict: Verdict;
}

/** The verdict on some results. */
export function verdictOf(results: readonly Pick<RequirementResult, "status">[]): Verdict {
  if (results.length === 0 || results.some(({ status }) => status === "fail" || status === "error")) return "failure";
  return results.some(({ status }) => status === "skipped" || status === "waived") ? "partial" : "success";
}

/** Counts results by their status. */
export function countStatuses(results: readonly Pick<RequirementResult, "status">[]): StatusCounts {
  const counts = Object.fromEntries(requirementStatuses.map((status) => [status, 0]));
  for (const { status } of results) counts[status] = (counts[status] ?? 0) + 1;
  return counts as StatusCounts;
}

/** How the profiles went that some results belong to. */
export function profilesOf(results: readonly RequirementResult[]): readonly ProfileReport[] {
  const profiles = Map.groupBy(results, ({ facet = "", level }) => `${facet} ${level}`);
  return [...profiles.values()].map((own) => {
    const { facet, level } = own[0] as RequirementResult;
    const isAbsent = own.every(({ status }) => status === "not-applicable");
    return { facet, level, result: isAbsent ? "not-applicable" : verdictOf(own), counts: countStatuses(own) };
  });
}
