import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CertificationReport, certificationReport, reportFormat } from "../certify/certification-report.ts";
import { profilesOf, type RequirementResult, type RequirementStatus, verdictOf } from "../suite/report.ts";
import { formatHtml } from "./html-report.ts";
import { formatJson } from "./json-report.ts";
import { formatJunit } from "./junit-report.ts";
import { formatTerminal } from "./terminal-report.ts";

const hostile = "</style><script>alert(1)</script>\"'&]]>\u0000\u001b[31m\ud800";

function result(id: string, status: RequirementStatus, more: Partial<RequirementResult> = {}): RequirementResult {
  return {
    id,
    title: `title of ${id}`,
    clause: "clause",
    transport: "direct",
    level: "core",
    facet: undefined,
    status,
    durationMs: 12.5,
    message: status === "pass" ? undefined : `why ${status}`,
    ...more,
  };
}

function reportOf(results: readonly RequirementResult[], text = "acme"): CertificationReport {
  const verdict = verdictOf(results);
  const description = { implementation: { name: text, version: "1.0.0", simulated: true }, facets: {}, attributes: {} };
  const waivers = [{ requirement: "a.b", reason: text, expires: "2027-01-31", outcome: "expired" as const }];
  return {
    format: reportFormat,
    subject: { name: text, version: "1.2.0", kind: "tarball", sha256: "ab".repeat(32), dirHash: "cd".repeat(32) },
    kitVersion: "0.1.0",
    coreVersion: "0.1.0",
    environment: "node 24.0.0 on linux x64",
    startedAt: "2026-01-01T00:00:00.000Z",
    durationMs: 65_000,
    complete: true,
    suites: [
      {
        point: "vdc.test",
        contractVersion: "1.0",
        description,
        results,
        profiles: profilesOf(results),
        waivers,
        verdict,
      },
    ],
    problems: [],
    verdict,
  };
}

const statuses: readonly RequirementStatus[] = ["pass", "fail", "error", "waived", "skipped", "not-applicable"];
const mixed = [
  ...statuses.map((status) => result(`test.is.${status}`, status)),
  result("test.is.pass", "pass", { transport: "pipe" }),
  result("test.snapshots.some", "not-applicable", { facet: "snapshots", level: "extended" }),
];

/** The elements of a text in XML, and whether each is closed as it was opened. */
function isWellFormed(xml: string): boolean {
  const open: string[] = [];
  const withoutTags = xml.replace(
    /<\?xml[^>]*\?>|<(\/?)([a-z]+)((?:\s+[a-zA-Z]+="[^"<]*")*)\s*(\/?)>/g,
    (_all, end, name, _rest, empty) => {
      if (end === "/") return open.pop() === name ? "" : "<";
      if (name !== undefined && empty !== "/") open.push(name);
      return "";
    },
  );
  const text = withoutTags.replace(/&(?:amp|lt|gt|quot|#\d+);/g, "");
  return open.length === 0 && !/[<>&]/.test(text);
}

describe("every report is made of the one model", () => {
  it("the terminal's tells what did not pass, the profiles, and the verdict", () => {
    expect(formatTerminal(reportOf(mixed))).toBe(`vdc.test 1.0 acme 1.0.0 (it says that it is a simulation)

  fail     test.is.fail
           title of test.is.fail
           -> why fail
           the contract says: clause

  error    test.is.error
           title of test.is.error
           -> why error

  waived   test.is.waived
           title of test.is.waived
           -> why waived

  skipped  test.is.skipped
           title of test.is.skipped
           -> why skipped

  core  failure  2 of 6
  not there: snapshots
  the waiver of 'a.b' held until 2027-01-31

1 failed, 1 in error, 1 waived, 1 skipped, 2 passed, 2 not applicable in 1 min 5 s
acme 1.2.0: failure
`);
  });

  it("JUnit's counts as JUnit counts, and is XML", () => {
    const xml = formatJunit(reportOf(mixed));
    expect(xml).toContain('<testsuites name="acme 1.2.0" tests="8" failures="1" errors="1" skipped="4"');
    expect(xml.match(/<testcase/g)).toHaveLength(8);
    expect(xml).toContain('<property name="sha256" value="abab');
    expect(isWellFormed(xml)).toBe(true);
    expect(isWellFormed(xml.replace("</testsuite>", ""))).toBe(false);
  });

  it("JSON's has its schema", () => {
    expect(certificationReport.safeParse(JSON.parse(formatJson(reportOf(mixed)))).success).toBe(true);
  });

  it("the page names the facets that are not there, whatever else does not apply", () => {
    const html = formatHtml(reportOf([...mixed, result("test.is.more", "not-applicable", { level: "extended" })]));
    expect(html).toContain("Facets that it does not have: snapshots<");
    expect(html).toMatch(/passed<\/li>.*not applicable<\/li><\/ul>/);
  });

  it("the page needs nothing from outside", () => {
    const html = formatHtml(reportOf(mixed));
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<script|src=|href=|url\(|@import/);
    expect(html).toContain('<meta name="viewport"');
    expect(html.match(/<details/g)).toHaveLength(7);
  });
});

describe("what a plugin says does no harm in a report", () => {
  const bad = (text: string): CertificationReport =>
    reportOf([result("test.is.fail", "fail", { message: text, title: text, clause: text, facet: text })], text);

  it("neither to a page, nor to XML, nor to a terminal", () => {
    expect(formatHtml(bad(hostile))).not.toContain("<script");
    expect(isWellFormed(formatJunit(bad(hostile)))).toBe(true);
    expect(formatTerminal(bad(hostile)).split("title")[0]).not.toContain("\u001b");
  });

  it("whatever it is", () => {
    const tagsIn = (text: string): number | undefined =>
      formatHtml(bad(text))
        .replace(/<style>.*<\/style>/s, "")
        .match(/<[a-z!/][^>]*>/g)?.length;
    const tags = tagsIn("");
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
        const xml = formatJunit(bad(text));
        expect(isWellFormed(xml) && xml.isWellFormed()).toBe(true);
        expect(tagsIn(text)).toBe(tags);
      }),
      { seed: 3, numRuns: process.env.VDC_DEEP ? 5_000 : 100 },
    );
  });
});
