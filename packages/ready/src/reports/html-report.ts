import type { CertificationReport } from "../certify/certification-report.ts";
import {
  countStatuses,
  type ProfileReport,
  type RequirementStatus,
  requirementStatuses,
  type SuiteReport,
} from "../suite/report.ts";
import { htmlStyle } from "./html-style.ts";
import { formatDuration, messagesOf, type RequirementRow, requirementRows } from "./requirement-rows.ts";

/** A report as one page that needs nothing else: no script, no font, no picture, no network. */
export function formatHtml(report: CertificationReport): string {
  const { subject, verdict, suites, problems } = report;
  const title = `${subject.name} ${subject.version}: ${verdict}`;
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${htmlOf(title)}</title>
<style>${htmlStyle}</style>
</head>
<body>
<main>
${headOf(report)}
${problems.length === 0 ? "" : `<h2>What stood in the way</h2>\n<ul class="notes">${problems.map((problem) => `<li>${htmlOf(problem)}</li>`).join("")}</ul>`}
${suites.map(suiteOf).join("\n")}
<footer>Written by @vdc-os/ready ${htmlOf(report.kitVersion)} on ${htmlOf(report.startedAt)}. A page is no proof: a signed certificate is, which
<code>vdc-ready verify</code> checks.</footer>
</main>
</body>
</html>
`;
}

function headOf({
  subject,
  verdict,
  suites,
  environment,
  kitVersion,
  coreVersion,
  durationMs,
  complete,
}: CertificationReport): string {
  const results = suites.flatMap((suite) => suite.results);
  const facts: readonly (readonly [string, string | undefined, boolean?])[] = [
    ["Certified", kinds[subject.kind]],
    ["Contracts", suites.map(({ point, contractVersion }) => `${point} ${contractVersion}`).join(", ") || "none"],
    ["Kit", `@vdc-os/ready ${kitVersion}, core ${coreVersion}`],
    ["Ran on", `${environment}, in ${formatDuration(durationMs)}`],
    ["SHA-256 of the tarball", subject.sha256, true],
    ["Digest of its files", subject.dirHash, true],
  ];
  const rows = facts.flatMap(([term, value, wide = false]) =>
    value === undefined
      ? []
      : [
          `<div${wide ? ' class="wide"' : ""}><dt>${term}</dt><dd>${wide ? `<code>${htmlOf(value)}</code>` : htmlOf(value)}</dd></div>`,
        ],
  );
  return `<header class="card head ${verdict}">
<div><div class="brand">VDC Ready</div><h1>${htmlOf(subject.name)} <span class="version">${htmlOf(subject.version)}</span></h1></div>
<div class="verdict">${verdict}</div>
<div class="facts"><div class="wide">${barOf(countStatuses(results))}</div></div>
<dl class="facts">${rows.join("")}</dl>
${complete ? "" : '<p class="partial tone">Only a part of the requirements was asked for: that certifies nothing.</p>'}
</header>`;
}

const kinds: Readonly<Record<CertificationReport["subject"]["kind"], string>> = {
  folder: "a folder, as it is being developed",
  tarball: "the tarball, as it is published",
  installed: "the package, as it is installed",
};

function barOf(counts: Readonly<Record<RequirementStatus, number>>): string {
  const tried = requirementStatuses
    .toReversed()
    .filter((status) => status !== "not-applicable")
    .filter((status) => counts[status] > 0);
  const there: readonly RequirementStatus[] = counts["not-applicable"] > 0 ? [...tried, "not-applicable"] : tried;
  const parts = tried.map((status) => `<span class="${status}" style="flex:${counts[status]}"></span>`);
  const items = there.map((status) => `<li class="${status}"><b>${counts[status]}</b> ${labels[status]}</li>`);
  return `<div class="bar">${parts.join("")}</div><ul class="legend">${items.join("")}</ul>`;
}

const labels: Readonly<Record<RequirementStatus, string>> = {
  pass: "passed",
  fail: "failed",
  error: "error",
  waived: "waived",
  skipped: "skipped",
  "not-applicable": "not applicable",
};

function suiteOf(suite: SuiteReport, index: number): string {
  const { implementation } = suite.description ?? {};
  const who =
    implementation === undefined
      ? ""
      : `<p>${htmlOf(`${implementation.name} ${implementation.version}`)}${implementation.simulated ? ", which says that it is a simulation" : ""}</p>`;
  const there = suite.profiles.filter(({ result }) => result !== "not-applicable");
  const absent = [
    ...new Set(
      suite.profiles.flatMap(({ result, facet }) =>
        result === "not-applicable" && facet !== undefined ? [facet] : [],
      ),
    ),
  ];
  const rows = requirementRows(suite);
  const open = rows.some(({ status }) => status !== "pass" && status !== "not-applicable");
  const choice = (value: string, label: string, checked: boolean): string =>
    `<label><input type="radio" name="show-${index}" value="${value}"${checked ? " checked" : ""}>${label}</label>`;
  const waivers = suite.waivers.map(
    ({ requirement, reason, expires, outcome }) =>
      `<li><code>${htmlOf(requirement)}</code>: ${outcome}, until ${htmlOf(expires)}. ${htmlOf(reason)}</li>`,
  );
  return `<section>
<h2>${htmlOf(suite.point)} ${htmlOf(suite.contractVersion)}: <span class="${suite.verdict} tone">${suite.verdict}</span></h2>
${who}
<ul class="profiles">${there.map(profileOf).join("")}</ul>
${absent.length === 0 ? "" : `<p class="not-applicable tone">Facets that it does not have: ${htmlOf(absent.join(", "))}</p>`}
${waivers.length === 0 ? "" : `<h3>Waivers</h3><ul class="notes">${waivers.join("")}</ul>`}
<fieldset class="filter"><legend>Show</legend>${choice("applies", "what applies", !open)}${choice("open", "what did not pass", open)}${choice("all", "all", false)}</fieldset>
<div class="rows">
${rows.map(rowOf).join("\n")}
</div>
</section>`;
}

function profileOf(profile: ProfileReport): string {
  const { facet, level, result, counts } = profile;
  const tried = Object.values(counts).reduce((sum, count) => sum + count, 0) - counts["not-applicable"];
  const name = facet === undefined ? level : facet;
  const small = `${facet === undefined ? "every implementation" : level}, ${counts.pass} of ${tried}`;
  return `<li class="${result}"><strong>${htmlOf(name)}</strong> <span class="tone">${result}</span><small>${small}</small></li>`;
}

function rowOf(row: RequirementRow): string {
  const { id, title, clause, status, results, facet, level } = row;
  const ms = results.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const over = results.map((result) => `${result.transport}: ${labels[result.status]}`).join("; ");
  const said = messagesOf(row).map((text) => `<p class="said">${htmlOf(text)}</p>`);
  const isOpen = status === "fail" || status === "error";
  return `<details class="${status}"${isOpen ? " open" : ""}><summary><span class="mark">${labels[status]}</span><span class="name"><code>${htmlOf(id)}</code><span class="what">${htmlOf(title)}</span></span><time>${formatDuration(ms)}</time></summary>
<div class="more">${said.join("")}<p class="clause">The contract: ${htmlOf(clause)}</p><p class="clause">${facet === undefined ? "every implementation" : `facet ${htmlOf(facet)}`}, ${level}; ${over}</p></div></details>`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function htmlOf(text: string): string {
  return text.toWellFormed().replace(/[&<>"']/g, (character) => entities[character] ?? "");
}
