/** How a requirement went for a provider, over all transports that were tried: the worst counts. */
export type Outcome = "pass" | "not-applicable" | "skipped" | "fail";

/** One requirement, tried on one provider over one transport. */
export interface ConformanceResult {
  readonly provider: string;
  readonly requirement: string;
  readonly transport: string;
  readonly outcome: Outcome;
  /** Why it is not applicable, was skipped, or failed. */
  readonly reason?: string | undefined;
}

/** Requirement by provider. Plain data. */
export interface ConformanceTable {
  readonly providers: readonly string[];
  readonly requirements: readonly string[];
  /** By requirement, then by provider; absent where it was not tried. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, Outcome>>>>;
  /** How often each provider had each outcome. */
  readonly counts: Readonly<Record<string, Readonly<Record<Outcome, number>>>>;
  /** Why something was not a pass, and how many of a provider's requirements it concerns. */
  readonly reasons: readonly {
    readonly provider: string;
    readonly outcome: Outcome;
    readonly reason: string;
    readonly requirements: number;
  }[];
}

const severity: readonly Outcome[] = ["pass", "not-applicable", "skipped", "fail"];
const words: Readonly<Record<Outcome, string>> = {
  pass: "pass",
  "not-applicable": "n/a",
  skipped: "skipped",
  fail: "FAIL",
};

/** Joins results into a table. Providers and requirements keep the order in which they come first. */
export function conformanceTable(results: readonly ConformanceResult[]): ConformanceTable {
  const outcomes: Record<string, Record<string, Outcome>> = {};
  const concerned = new Map<string, { result: ConformanceResult; requirements: Set<string> }>();
  for (const result of results) {
    const { provider, requirement, outcome, reason } = result;
    outcomes[requirement] ??= {};
    const row = outcomes[requirement];
    const before = row[provider] ?? "pass";
    row[provider] = severity.indexOf(outcome) > severity.indexOf(before) ? outcome : before;
    if (outcome === "pass") continue;
    const key = JSON.stringify([provider, outcome, reason]);
    const same = concerned.get(key) ?? { result, requirements: new Set<string>() };
    same.requirements.add(requirement);
    concerned.set(key, same);
  }
  const providers = [...new Set(results.map(({ provider }) => provider))];
  const counts: Record<string, Record<Outcome, number>> = {};
  for (const provider of providers) {
    const count = { pass: 0, "not-applicable": 0, skipped: 0, fail: 0 };
    for (const row of Object.values(outcomes)) {
      const outcome = row[provider];
      if (outcome !== undefined) count[outcome]++;
    }
    counts[provider] = count;
  }
  const reasons = [...concerned.values()].map(({ result, requirements }) => ({
    provider: result.provider,
    outcome: result.outcome,
    reason: result.reason ?? "no reason was given",
    requirements: requirements.size,
  }));
  return { providers, requirements: Object.keys(outcomes), outcomes, counts, reasons };
}

/** The table as text: a column for each provider, the counts, and the reasons. */
export function formatConformance({ providers, requirements, outcomes, counts, reasons }: ConformanceTable): string {
  const legend = providers.map((provider, index) => `${index + 1}  ${provider}`);
  const first = Math.max(12, ...requirements.map((id) => id.length));
  const line = (head: string, cells: readonly string[]): string =>
    `${head.padEnd(first)}  ${cells.map((cell) => cell.padEnd(7)).join(" ")}`.trimEnd();
  const heads = providers.map((_, index) => String(index + 1));
  const rows = requirements.map((id) =>
    line(
      id,
      providers.map((provider) => {
        const outcome = outcomes[id]?.[provider];
        return outcome === undefined ? "-" : words[outcome];
      }),
    ),
  );
  const sums = severity.map((outcome) =>
    line(
      words[outcome],
      providers.map((provider) => String(counts[provider]?.[outcome] ?? 0)),
    ),
  );
  const why = providers.flatMap((provider, index) => [
    ...reasons
      .filter((entry) => entry.provider === provider)
      .map(({ outcome, requirements: count, reason }) => `${index + 1}  ${words[outcome]} x ${count}: ${reason}`),
  ]);
  const rule = "-".repeat(first + 2 + providers.length * 8);
  return [...legend, "", line("requirement", heads), rule, ...rows, rule, ...sums, "", ...why].join("\n");
}
