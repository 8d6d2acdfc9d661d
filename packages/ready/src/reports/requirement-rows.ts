import {
  type RequirementResult,
  requirementStatuses,
  type RequirementStatus,
  type SuiteReport,
} from "../suite/report.ts";

/** A requirement with its results over each transport, for a report that shows it once. */
export interface RequirementRow {
  readonly id: string;
  readonly title: string;
  readonly clause: string;
  readonly facet: string | undefined;
  readonly level: RequirementResult["level"];
  /** The worst of its results. */
  readonly status: RequirementStatus;
  readonly results: readonly RequirementResult[];
}

/** A suite's requirements, each once, in their order. */
export function requirementRows({ results }: Pick<SuiteReport, "results">): readonly RequirementRow[] {
  return [...Map.groupBy(results, ({ id }) => id).values()].map((own) => {
    const { id, title, clause, facet, level } = own[0] as RequirementResult;
    const status = requirementStatuses.find((one) => own.some((result) => result.status === one)) ?? "error";
    return { id, title, clause, facet, level, status, results: own };
  });
}

/** What the results of a requirement say, each text once, and over which transport where they differ. */
export function messagesOf({ results }: RequirementRow): readonly string[] {
  const said = results.filter(({ message }) => message !== undefined);
  const texts = Map.groupBy(said, ({ message }) => message ?? "");
  return [...texts].map(([text, own]) =>
    own.length === results.length ? text : `${own.map(({ transport }) => transport).join(", ")}: ${text}`,
  );
}

/** A duration for people. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 60_000
    ? `${(ms / 1_000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}
