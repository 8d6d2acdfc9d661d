import { stripVTControlCharacters, styleText } from "node:util";
import type { CertificationReport } from "../certify/certification-report.ts";
import {
  countStatuses,
  type ProfileReport,
  type RequirementStatus,
  requirementStatuses,
  type Verdict,
} from "../suite/report.ts";
import { formatDuration, messagesOf, requirementRows } from "./requirement-rows.ts";

/** Options of {@link formatTerminal}. */
export interface FormatTerminalOptions {
  /** Whether colours may be used. Defaults to false. */
  readonly colors?: boolean;
}

type Style = Parameters<typeof styleText>[0];

/** Colours text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

const styles: Readonly<Record<RequirementStatus | Verdict, Style>> = {
  pass: "green",
  success: ["bold", "green"],
  fail: "red",
  failure: ["bold", "red"],
  error: "magenta",
  waived: "yellow",
  skipped: "yellow",
  partial: ["bold", "yellow"],
  "not-applicable": "gray",
};

/** How text is coloured, if it is. */
export function paintWith(colors: boolean): Paint {
  return (style, text) => (colors ? styleText(style, text, { validateStream: false }) : text);
}

/** A report for people at a terminal: what did not pass, each profile, and the verdict. */
export function formatTerminal(report: CertificationReport, { colors = false }: FormatTerminalOptions = {}): string {
  const paint = paintWith(colors);
  const lines: string[] = [];
  for (const suite of report.suites) {
    const { implementation } = suite.description ?? {};
    const who = implementation === undefined ? "" : ` ${implementation.name} ${implementation.version}`;
    const simulated = implementation?.simulated === true ? " (it says that it is a simulation)" : "";
    lines.push("", paint("bold", `${suite.point} ${suite.contractVersion}`) + printable(`${who}${simulated}`));
    for (const row of requirementRows(suite)) {
      if (row.status === "pass" || row.status === "not-applicable") continue;
      lines.push(
        "",
        `  ${paint(styles[row.status], row.status.padEnd(8))} ${paint("bold", printable(row.id))}`,
        `           ${printable(row.title)}`,
      );
      for (const text of messagesOf(row)) lines.push(`           ${paint("gray", "->")} ${printable(text)}`);
      if (row.status === "fail") lines.push(paint("gray", `           the contract says: ${printable(row.clause)}`));
    }
    lines.push("", ...profileTable(suite.profiles, paint));
    for (const { requirement, outcome, expires } of suite.waivers) {
      if (outcome === "unneeded") lines.push(`  the waiver of '${requirement}' is not needed: take it away`);
      if (outcome === "expired") lines.push(`  the waiver of '${requirement}' held until ${expires}`);
    }
  }
  for (const problem of report.problems) lines.push("", `${paint(styles.error, "error")}    ${printable(problem)}`);
  const counts = countStatuses(report.suites.flatMap(({ results }) => results));
  const summary = requirementStatuses
    .filter((status) => counts[status] > 0)
    .map((status) => paint(styles[status], `${counts[status]} ${names[status]}`));
  const what = printable(`${report.subject.name} ${report.subject.version}`);
  lines.push(
    "",
    `${summary.join(", ") || "nothing was tried"} in ${formatDuration(report.durationMs)}`,
    ...(report.complete ? [] : ["Only a part of the requirements was asked for: that certifies nothing."]),
    `${paint("bold", what)}: ${paint(styles[report.verdict], report.verdict)}`,
  );
  return `${lines.join("\n").trimStart()}\n`;
}

const names: Readonly<Record<RequirementStatus, string>> = {
  pass: "passed",
  fail: "failed",
  error: "in error",
  waived: "waived",
  skipped: "skipped",
  "not-applicable": "not applicable",
};

/** One line for each profile that applies, and one for the facets that the implementation does not have. */
function profileTable(profiles: readonly ProfileReport[], paint: Paint): readonly string[] {
  const applies = profiles.filter(({ result }) => result !== "not-applicable");
  const absent = new Set(
    profiles.flatMap(({ result, facet }) => (result === "not-applicable" && facet !== undefined ? [facet] : [])),
  );
  const label = ({ facet, level }: ProfileReport): string =>
    facet === undefined ? level : `${printable(facet)} (${level})`;
  const width = Math.max(0, ...applies.map((profile) => label(profile).length));
  const lines = applies.map((profile) => {
    const { result, counts } = profile;
    const tried = Object.values(counts).reduce((sum, count) => sum + count, 0) - counts["not-applicable"];
    const verdict = result === "not-applicable" ? "partial" : result;
    return `  ${label(profile).padEnd(width)}  ${paint(styles[verdict], result.padEnd(7))}  ${counts.pass} of ${tried}`;
  });
  return absent.size === 0 ? lines : [...lines, paint("gray", `  not there: ${printable([...absent].join(", "))}`)];
}

/** What an implementation says can't command the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}
