import type { CertificationReport } from "../certify/certification-report.ts";

/** A report for programs: see the schema `certificationReport`. */
export function formatJson(report: CertificationReport): string {
  return `${JSON.stringify(report, undefined, 2)}\n`;
}
