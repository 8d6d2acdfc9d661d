import type { CertificationReport } from "../certify/certification-report.ts";
import { countStatuses, type RequirementResult } from "../suite/report.ts";

/**
 * A report in the XML of JUnit, which CI servers show: one suite for each point and transport. What is skipped, waived or not applicable is
 * `skipped`, with the reason, since JUnit knows no more.
 */
export function formatJunit(report: CertificationReport): string {
  const { subject, startedAt, kitVersion, environment, verdict } = report;
  const properties = Object.entries({ ...subject, kitVersion, environment, verdict }).flatMap(([name, value]) =>
    value === undefined ? [] : [`      <property name=${attribute(name)} value=${attribute(value)}/>`],
  );
  const suites = report.suites.flatMap(({ point, contractVersion, results }) =>
    [...Map.groupBy(results, ({ transport }) => transport)].map(([transport, own]) => {
      const name = `${point} ${contractVersion} (${transport})`;
      return [
        `  <testsuite name=${attribute(name)} timestamp=${attribute(startedAt)} ${totals(own)}>`,
        "    <properties>",
        ...properties,
        "    </properties>",
        ...own.map((result) => testCase(result, point)),
        "  </testsuite>",
      ].join("\n");
    }),
  );
  for (const problem of report.problems) {
    suites.push(
      [
        '  <testsuite name="vdc-ready" tests="1" failures="0" errors="1" skipped="0">',
        `    <testcase classname="vdc-ready" name="certification" time="0"><error message=${attribute(problem)}/></testcase>`,
        "  </testsuite>",
      ].join("\n"),
    );
  }
  const all = report.suites.flatMap(({ results }) => results);
  const name = attribute(`${subject.name} ${subject.version}`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name=${name} ${totals(all)}>\n${suites.join("\n")}\n</testsuites>\n`;
}

function testCase(
  { id, title, facet, status, durationMs, message = "", clause }: RequirementResult,
  point: string,
): string {
  const classname = facet === undefined ? point : `${point}.${facet}`;
  const head = `    <testcase classname=${attribute(classname)} name=${attribute(`${id}: ${title}`)} time="${(durationMs / 1_000).toFixed(3)}"`;
  const said = attribute(message);
  if (status === "pass") return `${head}/>`;
  if (status === "fail")
    return `${head}><failure message=${said}>${text(`the contract says: ${clause}`)}</failure></testcase>`;
  if (status === "error") return `${head}><error message=${said}/></testcase>`;
  return `${head}><skipped message=${attribute(`${status}: ${message}`)}/></testcase>`;
}

function totals(results: readonly RequirementResult[]): string {
  const counts = countStatuses(results);
  const skipped = counts.skipped + counts.waived + counts["not-applicable"];
  const seconds = results.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1_000;
  return `tests="${results.length}" failures="${counts.fail}" errors="${counts.error}" skipped="${skipped}" time="${seconds.toFixed(3)}"`;
}

/** What XML 1.0 can't hold, in any spelling: most control characters, and halves of surrogate pairs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const unspeakable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

function text(value: string): string {
  return value
    .toWellFormed()
    .replace(unspeakable, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

function attribute(value: string): string {
  return `"${text(value).replaceAll('"', "&quot;").replaceAll("\n", "&#10;").replaceAll("\r", "&#13;").replaceAll("\t", "&#9;")}"`;
}
